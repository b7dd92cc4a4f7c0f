"""``entrepot tags``, ``tag``, ``untag``, ``delete``, ``digest``, ``manifest`` and ``catalog``."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from client.conftest import Peer
from client.layouts import Descriptor, MadeLayout, signed_index
from client.shell import Shell
from entrepot.cli.exit_codes import ExitCode


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
