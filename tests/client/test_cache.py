"""A folder that keeps what was pulled: nothing is fetched twice, and offline nothing is asked for."""

from pathlib import Path

import pytest

from client.conftest import Peer
from client.counting_proxy import counting_proxy
from client.layouts import blobs_of, signed_index
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode

PLAIN = ("--progress", "none")
LARGE = 2_500_000


@pytest.fixture
def pushed(ours: Peer, shell: Shell, tmp_path: Path) -> tuple[str, str, set[str]]:
    """A signed index of two platforms: its repository, its digest, and all that belongs to it."""
    made, index = signed_index(tmp_path / "made")
    name = ours.fresh()
    assert shell.run("push", *PLAIN, f"oci:{made.folder}:v1", f"{name}:v1").returncode == ExitCode.OK
    return name, index["digest"], set(made.digests)


def test_nothing_is_fetched_twice(pushed: tuple[str, str, set[str]], shell: Shell, tmp_path: Path) -> None:
    """The second pull asks what the tag means, and what refers to it; the layers come out of the folder."""
    name, digest, all_of_it = pushed
    host, _, repository = name.partition("/")
    with counting_proxy(host) as proxy:
        source = f"127.0.0.1:{proxy.port}/{repository}:v1"
        for number in range(2):
            before = proxy.received
            target = f"oci:{tmp_path / str(number)}:v1"
            done = shell.run("pull", *PLAIN, "--cache", tmp_path / "cache", source, target)
            assert done.stdout.strip() == f"oci:{tmp_path / str(number)}@{digest}", done.stderr
            assert blobs_of(tmp_path / str(number)) == all_of_it
            assert (proxy.received - before > LARGE) == (number == 0)
    again = shell.run("copy", *PLAIN, "--offline", "--cache", tmp_path / "cache", source, f"{name}-copied:v1")
    assert again.returncode == ExitCode.OK, again.stderr
    assert digest in shell.run("digest", f"{name}-copied:v1").stdout


def test_offline(pushed: tuple[str, str, set[str]], shell: Shell, tmp_path: Path) -> None:
    """What was pulled before is there, by tag, digest and platform; what was not is named with what would fetch it."""
    name, digest, all_of_it = pushed
    cached = {"ENTREPOT_CLIENT_CACHE": str(tmp_path / "cache")}
    pull = ("pull", *PLAIN, "--offline", f"{name}:v1", f"oci:{tmp_path / 'back'}:v1")
    refused = shell.run(*pull, environment=cached)
    assert refused.returncode == ExitCode.NOT_FOUND
    assert "has not been pulled with this cache" in refused.stderr

    narrow = ("--platform", "linux/amd64")
    first = shell.run("pull", *PLAIN, *narrow, f"{name}:v1", f"oci:{tmp_path / 'one'}:v1", environment=cached)
    assert first.returncode == ExitCode.OK, first.stderr
    assert shell.run(*pull, environment=cached).returncode == ExitCode.NOT_FOUND
    second = shell.run(*pull, *narrow, environment=cached)
    assert second.stdout.rpartition("@")[2] == first.stdout.rpartition("@")[2]

    fetched = shell.run("pull", *PLAIN, f"{name}:v1", f"oci:{tmp_path / 'all'}:v1", environment=cached)
    assert fetched.returncode == ExitCode.OK, fetched.stderr
    whole = shell.run(*pull, environment=cached)
    assert whole.stdout.strip().endswith(digest), whole.stderr
    assert blobs_of(tmp_path / "back") >= all_of_it
    by_digest = ("pull", *PLAIN, "--offline", f"{name}@{digest}", f"oci:{tmp_path / 'digest'}:v1")
    assert shell.run(*by_digest, environment=cached).returncode == ExitCode.OK


def test_what_is_damaged_in_it(pushed: tuple[str, str, set[str]], shell: Shell, tmp_path: Path) -> None:
    """A blob that has rotted is fetched again; offline it is told, and no layout has it."""
    name, digest, all_of_it = pushed
    cache = ("--cache", tmp_path / "cache")
    assert shell.run("pull", *PLAIN, *cache, f"{name}:v1", f"oci:{tmp_path / 'one'}:v1").returncode == ExitCode.OK
    largest = max((tmp_path / "cache" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    right = largest.read_bytes()

    largest.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    pull = ("pull", *PLAIN, *cache, f"{name}:v1", f"oci:{tmp_path / 'two'}:v1")
    offline = shell.run(*pull, "--offline")
    assert offline.returncode == ExitCode.INTEGRITY
    assert largest.name in offline.stderr
    healed = shell.run(*pull)
    assert healed.stdout.strip().endswith(digest), healed.stderr
    assert largest.read_bytes() == right
    assert blobs_of(tmp_path / "two") == all_of_it

    largest.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    assert shell.run("pull", *PLAIN, *cache, f"{name}:v1", f"oci:{tmp_path / 'three'}:v1").returncode == ExitCode.OK
    assert blobs_of(tmp_path / "three") == all_of_it


def test_whole_repositories_are_not_cached(shell: Shell, tmp_path: Path) -> None:
    """The flags contradict each other, and that is said before anything is done."""
    refused = shell.run("copy", "--all-tags", "--offline", "registry.example.com/a", f"oci:{tmp_path / 'x'}")
    assert refused.returncode == ExitCode.USAGE
    assert "--all-tags goes without" in refused.stderr
