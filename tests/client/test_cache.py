"""A folder that keeps what was pulled: nothing is fetched twice, and offline nothing is asked for."""

import json
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


def test_damage_is_also_seen_by_a_registry(
    pushed: tuple[str, str, set[str]], ours_with_login: Peer, shell: Shell, tmp_path: Path
) -> None:
    """What the registry refuses for its digest was damaged in the folder, and is fetched again."""
    name, digest, _ = pushed
    cache = ("--cache", tmp_path / "cache")
    assert shell.run("pull", *PLAIN, *cache, f"{name}:v1", f"oci:{tmp_path / 'one'}:v1").returncode == ExitCode.OK
    largest = max((tmp_path / "cache" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    copied = shell.run("copy", *PLAIN, *cache, f"{name}:v1", f"{name}-copied:v1")
    assert copied.stdout.strip().endswith(digest), copied.stderr


def test_signatures_of_an_image_in_two_repositories(
    pushed: tuple[str, str, set[str]], shell: Shell, tmp_path: Path
) -> None:
    """Blobs are shared, and each repository has its own signatures of them."""
    name, _, all_of_it = pushed
    assert shell.run("copy", *PLAIN, f"{name}:v1", f"{name}-other:v1").returncode == ExitCode.OK
    for number, place in enumerate((name, f"{name}-other")):
        pull = ("pull", *PLAIN, "--cache", tmp_path / "cache", f"{place}:v1", f"oci:{tmp_path / str(number)}:v1")
        assert shell.run(*pull).returncode == ExitCode.OK
        assert blobs_of(tmp_path / str(number)) == all_of_it
        assert len(json.loads((tmp_path / str(number) / "index.json").read_text(encoding="utf-8"))["manifests"]) == 3


def test_a_tag_that_has_moved(ours: Peer, shell: Shell, tmp_path: Path) -> None:
    """Offline a tag means what it meant when it was last fetched, as a whole or for one platform."""
    name, cached = f"{ours.fresh()}:v1", {"ENTREPOT_CLIENT_CACHE": str(tmp_path / "cache")}
    narrow = ("--platform", "linux/amd64")

    def pulled(number: str, *flags: str) -> str:
        done = shell.run("pull", *PLAIN, *flags, name, f"oci:{tmp_path / number}:v1", environment=cached)
        return done.stdout.strip().rpartition("@")[2] or f"exit {done.returncode}"

    first, _ = signed_index(tmp_path / "first")
    assert shell.run("push", *PLAIN, f"oci:{first.folder}:v1", name).returncode == ExitCode.OK
    old = pulled("one", *narrow)
    second, index = signed_index(tmp_path / "second")
    assert shell.run("push", *PLAIN, f"oci:{second.folder}:v1", name).returncode == ExitCode.OK
    assert pulled("two") == index["digest"]
    new = pulled("three", *narrow, "--offline")
    assert new not in {old, index["digest"]}
    blobs = second.folder / "blobs" / "sha256"
    children = json.loads((blobs / index["digest"][7:]).read_text(encoding="utf-8"))["manifests"]
    assert new in {child["digest"] for child in children}


def test_offline_nothing_is_asked(pushed: tuple[str, str, set[str]], shell: Shell, tmp_path: Path) -> None:
    """Also for a dry run, and where the target's digest is to be the source's."""
    name, digest, _ = pushed
    host, _, repository = name.partition("/")
    with counting_proxy(host) as proxy:
        source = f"127.0.0.1:{proxy.port}/{repository}:v1"
        cache = ("--cache", tmp_path / "cache")
        assert shell.run("pull", *PLAIN, *cache, source, f"oci:{tmp_path / 'one'}:v1").returncode == ExitCode.OK
        before = proxy.sent
        dry = shell.run("copy", *PLAIN, *cache, "--offline", "--dry-run", source, f"{name}-dry:v1")
        assert dry.stdout.strip().endswith(digest), dry.stderr
        pinned = shell.run("copy", *PLAIN, *cache, "--offline", source, f"{name}-pinned@{digest}")
        assert pinned.stdout.strip().endswith(digest), pinned.stderr
        assert proxy.sent == before


def test_whole_repositories_are_not_cached(shell: Shell, tmp_path: Path) -> None:
    """The flags contradict each other, and that is said before anything is done."""
    refused = shell.run("copy", "--all-tags", "--offline", "registry.example.com/a", f"oci:{tmp_path / 'x'}")
    assert refused.returncode == ExitCode.USAGE
    assert "--all-tags goes without" in refused.stderr
