"""Archives on standard input and output."""

import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from client.conftest import Peer
from client.layouts import MadeLayout, blobs_of, signed_index
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode
from harness.ports import wait_until

PLAIN = ("--progress", "none")


def piped(shell: Shell, *commands: tuple[str | Path, ...]) -> list[int]:
    """Commands of which each reads what the one before writes; how they end."""
    environment = {**os.environ, **shell.variables}
    program = Path(sys.executable).parent / "entrepot"
    processes: list[subprocess.Popen[bytes]] = []
    for command in commands:
        source = processes[-1].stdout if processes else subprocess.DEVNULL
        processes.append(subprocess.Popen([program, *command], env=environment, stdin=source, stdout=subprocess.PIPE))
        if len(processes) > 1 and processes[-2].stdout is not None:
            processes[-2].stdout.close()
    processes[-1].communicate(timeout=60)
    return [process.wait(60) for process in processes]


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_from_one_command_to_the_next(ours: Peer, shell: Shell, tmp_path: Path, kind: str) -> None:
    """A pipe carries an image of any size, with its tag."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(5_000_000, 10))
    name = ours.fresh()
    assert shell.run("push", *PLAIN, f"oci:{made.folder}:v1", f"{name}:v1").returncode == ExitCode.OK
    written = f"{kind}:-:v1" if kind == "oci-archive" else f"{kind}:-:app:v1"
    codes = piped(shell, ("pull", *PLAIN, f"{name}:v1", written), ("push", *PLAIN, f"{kind}:-", f"{name}-piped:v1"))
    assert codes == [0, 0]
    back = shell.run("pull", *PLAIN, f"{name}-piped:v1", f"oci:{tmp_path / 'back'}:v1")
    assert back.returncode == ExitCode.OK, back.stderr
    assert len(blobs_of(tmp_path / "back") & set(made.digests)) >= 3


def test_a_signed_image_for_docker(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """What docker reads has no room for signatures, so one platform of a signed image goes there without them."""
    made, _ = signed_index(tmp_path / "made")
    name = f"{ours.fresh()}:v1"
    assert shell.run("push", *PLAIN, f"oci:{made.folder}:v1", name).returncode == ExitCode.OK
    target = f"docker-archive:{tmp_path / 'x.tar'}:app:v1"
    done = shell.run("pull", *PLAIN, "--platform", "linux/amd64", name, target)
    assert done.returncode == ExitCode.OK, done.stderr
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert "manifest.json" in archive.getnames()
    refused = shell.run("pull", *PLAIN, name, target)
    assert "--platform" in refused.stderr


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_pipe_that_stands_still(ours: Peer, shell: Shell, tmp_path: Path, direction: str) -> None:
    """Ctrl-C ends a command that waits for others to write or to read; nothing is left of it."""
    made = MadeLayout(tmp_path / "made")
    made.write(v1=made.image(3_000_000))
    name = f"{ours.fresh()}:v1"
    assert shell.run("push", *PLAIN, f"oci:{made.folder}:v1", name).returncode == ExitCode.OK
    command = {
        "in": ("push", *PLAIN, "oci-archive:-", name),
        "out": ("pull", *PLAIN, name, "oci-archive:-:v1"),
    }[direction]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        # Whoever runs the tests in the background has the signal ignored, and so would the command.
        ["env", "--default-signal=INT", Path(sys.executable).parent / "entrepot", *command],
        env={**os.environ, **shell.variables, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: any(temporary.iterdir()), "the command waits", seconds_at_most=20)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == ExitCode.OTHER
        assert b"stopped" in process.communicate()[1]
        assert not list(temporary.iterdir())
    finally:
        process.kill()
        process.communicate()


def test_an_archive_is_not_for_a_terminal(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """It is refused before anything is fetched."""
    controller, terminal = os.openpty()
    try:
        ended = subprocess.run(
            [Path(sys.executable).parent / "entrepot", "pull", *PLAIN, f"{ours.fresh()}:v1", "oci-archive:-:v1"],
            env={**os.environ, **shell.variables, "TMPDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(controller)
        os.close(terminal)
    assert ended.returncode == ExitCode.OTHER
    assert b"not for a terminal" in ended.stderr
