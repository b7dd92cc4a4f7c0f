"""Places as they are written: registries, layouts, archives, streams, daemons."""

from pathlib import Path

import pytest

from entrepot.client.errors import NotFound, ReferenceInvalid
from entrepot.client.locations import Kind, parse_source, parse_target
from entrepot.oci import Digest, Tag

DIGEST = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("text", "kind", "path", "tags"),
    [
        ("registry.example.com/team/app:1.4.2,1.4,1", Kind.REGISTRY, None, ["1.4.2", "1.4", "1"]),
        ("docker://registry.example.com/app", Kind.REGISTRY, None, []),
        ("oci:build:v1", Kind.LAYOUT, "build", ["v1"]),
        ("oci:build", Kind.LAYOUT, "build", []),
        ("ocidir://a/b:v1,v2", Kind.LAYOUT, "a/b", ["v1", "v2"]),
        ("./build", Kind.LAYOUT, "build", []),
        ("app.tar", Kind.OCI_ARCHIVE, "app.tar", []),
        ("oci-archive:app.tar:v1", Kind.OCI_ARCHIVE, "app.tar", ["v1"]),
        ("oci-archive:-:v1", Kind.OCI_ARCHIVE, None, ["v1"]),
        ("docker-archive:app.tar:team/app:1", Kind.DOCKER_ARCHIVE, "app.tar", ["1"]),
        ("docker-archive:-:localhost:5000/app:1", Kind.DOCKER_ARCHIVE, None, ["1"]),
        ("docker-daemon:team/app:1", Kind.DOCKER_DAEMON, None, ["1"]),
        ("podman:localhost/app:1", Kind.PODMAN, None, ["1"]),
    ],
)
def test_targets(text: str, kind: Kind, path: str | None, tags: list[str]) -> None:
    """Kind, file and tags; a dash is standard output."""
    found = parse_target(text)
    assert found.kind is kind
    assert found.path == (None if path is None else Path(path))
    assert [tag.text for tag in found.tags] == tags
    assert found.has_reference is bool(tags)
    assert found.is_stream is (":-" in text)


@pytest.mark.parametrize(
    ("text", "kind", "reference"),
    [
        ("registry.example.com/app@" + DIGEST, Kind.REGISTRY, Digest.parse(DIGEST)),
        ("registry.example.com/app", Kind.REGISTRY, Tag("latest")),
        ("oci:build:v1", Kind.LAYOUT, Tag("v1")),
        ("oci:build@" + DIGEST, Kind.LAYOUT, Digest.parse(DIGEST)),
        ("oci-archive:app.tar", Kind.OCI_ARCHIVE, None),
        ("docker-archive:app.tar:registry.example.com:5000/team/app:1", Kind.DOCKER_ARCHIVE, Tag("1")),
        ("docker-archive:-", Kind.DOCKER_ARCHIVE, None),
        ("oci-archive:-:v1", Kind.OCI_ARCHIVE, Tag("v1")),
    ],
)
def test_sources(text: str, kind: Kind, reference: object) -> None:
    """What is asked for there; a registry without a tag means ``latest``, an archive its only image."""
    found = parse_source(text)
    assert (found.kind, found.reference) == (kind, reference)


def test_daemons_name_images_as_registries_do() -> None:
    """Without a tag ``latest`` is read, and nothing is written."""
    (name,) = parse_source("docker-daemon:app").names
    assert str(name.reference) == "latest"
    with pytest.raises(ReferenceInvalid, match="app"):
        parse_target("docker-daemon:app")
    with pytest.raises(ReferenceInvalid):
        parse_source("podman:Not A Name")


def test_paths_are_looked_at(tmp_path: Path) -> None:
    """A folder is a layout, a file tells by its members; what is not there is named."""
    assert parse_source(str(tmp_path)).kind is Kind.LAYOUT
    with pytest.raises(NotFound, match="none"):
        parse_source(str(tmp_path / "none.tar"))


@pytest.mark.parametrize("text", ["registry.example.com/app:1,not a tag", "oci:build:v1,,", "oci:x@sha256:1"])
def test_mistakes(text: str) -> None:
    """A tag that is none is refused wherever it stands."""
    with pytest.raises(ReferenceInvalid):
        parse_target(text) if "@" not in text else parse_source(text)
