"""``entrepot tags``, ``tag``, ``untag``, ``delete``, ``digest``, ``manifest`` and ``catalog``."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from client.conftest import Peer
from client.layouts import SIGNATURE, Descriptor, MadeLayout, signed_index
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode
from harness.programs import find_program, run_program


@pytest.fixture
def ask(shell: Shell, ours_with_login: Peer) -> Callable[..., str]:
    """Runs a command as the admin; returns its stdout, or what it says when it is to end with another code."""

    def run(*arguments: str | Path, code: ExitCode = ExitCode.OK) -> str:
        ended = shell.run(*arguments, login=True)
        assert ended.returncode == code, ended.stderr
        return ended.stdout if code == ExitCode.OK else ended.stderr

    return run


@pytest.fixture
def pushed(ask: Callable[..., str], ours_with_login: Peer, tmp_path: Path) -> tuple[str, Descriptor, MadeLayout]:
    """A new repository with ``1.4.2``, an index."""
    name = f"{ours_with_login.address}/team/{secrets.token_hex(5)}"
    made, index = signed_index(tmp_path / "made")
    ask("push", f"oci:{made.folder}:v1", f"{name}:1.4.2", "--progress", "none")
    return name, index, made


def test_versions_have_floating_tags(ask: Callable[..., str], pushed: tuple[str, Descriptor, MadeLayout]) -> None:
    """From 1.4.2 also 1.4 and 1, never latest; a pre-release gives none, and what is no version is told."""
    name, index, _ = pushed
    assert ask("tag", f"{name}:1.4.2", "--semver").splitlines() == [f"{name}:1.4", f"{name}:1"]
    ask("tag", f"{name}:1.4.2", "1.5.0-rc.1", "nightly")
    versions = ["1", "1.4", "1.4.2", "1.5.0-rc.1", "nightly"]
    shown = ask("tags", name, "--sort", "semver").split()
    assert [tag for tag in shown if tag in versions] == versions
    assert json.loads(ask("tags", name, "--filter", "1.4*", "--output", "json")) == ["1.4", "1.4.2"]
    assert ask("digest", f"{name}:1").strip() == index["digest"]
    assert "is no version" in ask("tag", f"{name}:nightly", "--semver", code=ExitCode.USAGE)
    assert "no tag to give" in ask("tag", f"{name}:1.5.0-rc.1", "--semver", code=ExitCode.USAGE)


def test_a_version_is_moved_with_force_alone(
    ask: Callable[..., str], pushed: tuple[str, Descriptor, MadeLayout], tmp_path: Path
) -> None:
    """Another image does not get the tag of a release by mistake; floating tags move."""
    name, _, _ = pushed
    other = MadeLayout(tmp_path / "other")
    other.write(v1=other.image(10))
    ask("push", f"oci:{other.folder}:v1", f"{name}:next", "--progress", "none")
    refused = ask("tag", f"{name}:next", "1.4.2", code=ExitCode.POLICY)
    assert "1.4.2" in refused
    ask("tag", f"{name}:next", "1.4")
    ask("tag", f"{name}:next", "1.4.2", "--force")
    assert ask("digest", f"{name}:1.4.2") == ask("digest", f"{name}:1.4") == ask("digest", f"{name}:next")


def test_deleting_says_whom_else_it_would_take(
    ask: Callable[..., str], pushed: tuple[str, Descriptor, MadeLayout]
) -> None:
    """An image with other tags stays until it is forced; untagging takes the tag alone."""
    name, index, _ = pushed
    ask("tag", f"{name}:1.4.2", "1.4", "1")
    ask("untag", f"{name}:1")
    assert set(ask("tags", name).split()) >= {"1.4", "1.4.2"}
    refused = ask("delete", f"{name}:1.4.2", code=ExitCode.POLICY)
    assert "1.4" in refused
    assert ask("delete", f"{name}:1.4.2", "--force").strip() == f"{name}@{index['digest']}"
    assert "not found" in ask("digest", f"{name}:1.4", code=ExitCode.NOT_FOUND)
    assert "which tag" in ask("untag", name, code=ExitCode.USAGE)


def test_what_is_there(ask: Callable[..., str], pushed: tuple[str, Descriptor, MadeLayout]) -> None:
    """Manifests byte for byte, digests of platforms and of layouts, and repositories by name."""
    name, index, made = pushed
    stored = (made.folder / "blobs/sha256" / index["digest"][7:]).read_text(encoding="utf-8")
    assert ask("manifest", f"{name}:1.4.2") == stored
    child = json.loads(stored)["manifests"][1]["digest"]
    assert ask("digest", f"{name}:1.4.2", "--platform", "linux/arm64").strip() == child
    assert ask("digest", f"oci:{made.folder}:v1").strip() == index["digest"]
    assert json.loads(ask("digest", f"{name}:1.4.2", "--output", "json"))["size"] == index["size"]
    host, _, repository = name.partition("/")
    assert repository in ask("catalog", host).split()


def test_looking_at_an_image(
    ask: Callable[..., str], pushed: tuple[str, Descriptor, MadeLayout], tmp_path: Path
) -> None:
    """Platforms and referrers of an index, configuration and layers of one image, in a registry and in a layout."""
    name, index, made = pushed
    found = json.loads(ask("inspect", f"{name}:1.4.2", "--output", "json"))
    assert (found["digest"], found["platforms"]) == (index["digest"], ["linux/amd64", "linux/arm64"])
    assert [one["artifactType"] for one in found["referrers"]] == [SIGNATURE]
    one = json.loads(ask("inspect", f"{name}:1.4.2", "--platform", "linux/arm64", "--output", "json"))
    assert (one["platforms"], len(one["layers"])) == (["linux/arm64"], 3)
    for place in (f"{name}:1.4.2", f"oci:{made.folder}:v1"):
        shown = ask("inspect", place)
        assert "linux/amd64, linux/arm64" in shown
        assert index["digest"] in shown
    labelled = MadeLayout(tmp_path / "labelled")
    labelled.write(v1=labelled.image(10, config={"Labels": {"a\x1b[31mb": "c\x07d"}, "Entrypoint": ["/app"]}))
    shown = ask("inspect", f"oci:{labelled.folder}:v1")
    assert "['/app']" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_the_tags_of_a_commit(
    ask: Callable[..., str], pushed: tuple[str, Descriptor, MadeLayout], tmp_path: Path
) -> None:
    """Its name and what describes it; not while files differ from it, and not where there is no commit."""
    name, _, _ = pushed
    assert "--git" in ask("tag", f"{name}:1.4.2", "--git", code=ExitCode.USAGE)
    git: list[str | Path] = [find_program("git"), "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.com"]
    run_program([*git, "init", "--quiet"])
    (tmp_path / "file").write_text("1", encoding="utf-8")
    run_program([*git, "add", "file"])
    run_program([*git, "commit", "--quiet", "-m", "one"])
    run_program([*git, "tag", "v1.0.0"])
    run_program([*git, "commit", "--quiet", "--allow-empty", "-m", "two"])
    commit = run_program([*git, "rev-parse", "HEAD"]).strip()[:12]
    given = ask("tag", f"{name}:1.4.2", "--git").splitlines()
    assert given == [f"{name}:{commit}", f"{name}:v1.0.0-1-g{commit}"]
    (tmp_path / "file").write_text("2", encoding="utf-8")
    assert "differ from their commit" in ask("tag", f"{name}:1.4.2", "--git", code=ExitCode.USAGE)


def test_a_tag_that_is_not_there(ask: Callable[..., str], pushed: tuple[str, Descriptor, MadeLayout]) -> None:
    """Those that are close are named; a repository that is not there is another thing."""
    name, _, _ = pushed
    ask("tag", f"{name}:1.4.2", "1.4.10", "nightly")
    told = ask("digest", f"{name}:1.4", code=ExitCode.NOT_FOUND)
    assert "the repository is there" in told
    assert f"did you mean {name}:1.4.10, {name}:1.4.2" in told
    assert "did you mean" not in ask("digest", f"{name}:zzzzzz", code=ExitCode.NOT_FOUND)
    assert "no such repository, or it is hidden" in ask("digest", f"{name}-none:1.4", code=ExitCode.NOT_FOUND)
