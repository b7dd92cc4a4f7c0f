"""Disks that are full, and disks without power: what was pulled is right, or is seen to be missing."""

import hashlib
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from client.conftest import Peer
from client.counting_proxy import counting_proxy
from client.layouts import MadeLayout, blobs_of
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode
from harness.disks import Disk, Kind, checked, mounted_disk, small_disk

PLAIN = ("--progress", "none")
LARGE = 120 << 20


@pytest.fixture
def pushed(ours: Peer, shell: Shell, tmp_path: Path) -> tuple[str, MadeLayout]:
    """An image of one layer of 120 MiB and several small ones, in a registry that is not on the disk."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(LARGE, 30_000, 3_000_000, 12_000_000))
    name = f"{ours.fresh()}:v1"
    assert shell.run("push", *PLAIN, f"oci:{made.folder}:v1", name).returncode == ExitCode.OK
    return name, made


def test_a_full_disk(pushed: tuple[str, MadeLayout], shell: Shell, tmp_path: Path) -> None:
    """It is told with what is kept; with more room the same command goes on, and fetches the rest alone."""
    name, made = pushed
    host, _, rest = name.partition("/")
    with small_disk(tmp_path / "disk") as disk, counting_proxy(host) as proxy:
        pull = ("pull", *PLAIN, f"127.0.0.1:{proxy.port}/{rest}", f"oci:{disk / 'back'}:v1")
        full = shell.run(*pull)
        assert full.returncode == ExitCode.OTHER
        assert "no room is left" in full.stderr
        assert "is kept, and gone on with" in full.stderr
        assert "Traceback" not in full.stderr
        checked("mount", "-o", "remount,size=400m", disk)
        before = proxy.received
        assert shell.run(*pull).returncode == ExitCode.OK
        assert proxy.received - before < LARGE // 2
        assert blobs_of(disk / "back") == set(made.digests)


@pytest.fixture(params=["ext4", "xfs"])
def powered(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Disk, None, None]:
    """A disk whose power can be cut."""
    kind: Kind = request.param
    with mounted_disk(tmp_path / "image", tmp_path / "disk", kind) as disk:
        yield disk


def goes_on(shell: Shell, pull: tuple[str, ...], made: MadeLayout, back: Path) -> None:
    """No blob of the right length has another content, and the same command completes them all."""
    right = {path.name: path.stat().st_size for path in (made.folder / "blobs" / "sha256").iterdir()}
    there = back / "blobs" / "sha256"
    for path in there.iterdir() if there.is_dir() else ():
        if path.stat().st_size == right[path.name]:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    again = shell.run(*pull)
    assert again.returncode == ExitCode.OK, again.stderr
    assert blobs_of(back) == set(made.digests)


@pytest.mark.parametrize("seconds", [0.3, 0.6, None])
def test_the_power_goes(pushed: tuple[str, MadeLayout], shell: Shell, powered: Disk, seconds: float | None) -> None:
    """In the middle of a pull, or right after it: no blob of the right length has another content, and all goes on."""
    name, made = pushed
    pull = ("pull", *PLAIN, name, f"oci:{powered.path / 'back'}:v1")
    process = shell.start(*pull)
    if seconds is None:
        assert process.wait(60) == 0
    else:
        time.sleep(0.4 + seconds)  # the program starts
    powered.cut_power()
    process.kill()
    process.communicate()
    powered.start_again()
    goes_on(shell, pull, made, powered.path / "back")


def test_the_power_goes_while_parts_come_from_all_sides(
    pushed: tuple[str, MadeLayout], shell: Shell, powered: Disk
) -> None:
    """Likewise for a file whose end may be written before its middle."""
    name, made = pushed
    pull = ("pull", *PLAIN, "--limit-rate", "90MB", name, f"oci:{powered.path / 'back'}:v1")
    process = shell.start(*pull)
    waiting = threading.Timer(1.4, powered.cut_power)
    waiting.start()
    process.communicate(timeout=60)
    waiting.join()
    powered.start_again()
    goes_on(shell, pull, made, powered.path / "back")
