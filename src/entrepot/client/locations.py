"""Where an image is, as commands and programs write it: a reference, a folder, an archive."""

import tarfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from entrepot.client.errors import NotFound, ReferenceInvalid
from entrepot.client.files import file_errors
from entrepot.client.references import ImageReference
from entrepot.oci import Digest, DigestInvalid, Reference, Tag, TagInvalid


class Kind(StrEnum):
    """What a location is; the values stand in front of it."""

    REGISTRY = "docker"
    LAYOUT = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"
    DOCKER_DAEMON = "docker-daemon"
    PODMAN = "podman"

    @property
    def is_daemon(self) -> bool:
        """Whether it is a daemon of this machine or another."""
        return self in {Kind.DOCKER_DAEMON, Kind.PODMAN}

    @property
    def keeps_configs_only(self) -> bool:
        """Whether an image has another manifest there, so that of all digests only that of its config stays."""
        return self is Kind.DOCKER_ARCHIVE or self.is_daemon


_PREFIXES: Final = {
    "docker://": Kind.REGISTRY,
    "ocidir://": Kind.LAYOUT,
    "oci-archive:": Kind.OCI_ARCHIVE,
    "docker-archive:": Kind.DOCKER_ARCHIVE,
    "docker-daemon:": Kind.DOCKER_DAEMON,
    "podman:": Kind.PODMAN,
    "oci:": Kind.LAYOUT,
}
_TAGS_AT_MOST: Final = 100
_STREAM: Final = "-"


@dataclass(frozen=True, slots=True)
class Location:
    """A place and what in it."""

    kind: Kind
    text: str
    """The place as it was written, without tag or digest."""
    image: ImageReference | None = None
    """Of a registry only."""
    path: Path | None = None
    """Of layouts and archives; None for an archive that is standard input or output."""
    reference: Reference | None = None
    """The tag or digest that was written; None for none."""
    tags: tuple[Tag, ...] = ()
    """The tags of a target: ``name:1.4.2,1.4,1``."""
    names: tuple[ImageReference, ...] = ()
    """The whole names of an image in a docker archive or at a daemon."""

    @property
    def is_stream(self) -> bool:
        """Whether it is standard input or output."""
        return self.kind in {Kind.OCI_ARCHIVE, Kind.DOCKER_ARCHIVE} and self.path is None

    @property
    def has_reference(self) -> bool:
        """Whether a tag or digest was written; a registry's ``latest`` counts only then."""
        if self.image is not None:
            return self.image.tag is not None or self.image.digest is not None or bool(self.tags)
        return self.reference is not None or bool(self.tags)


def parse_source(text: str) -> Location:
    """Where to read from; a path is looked at for what it is. Raises ReferenceInvalid, NotFound."""
    kind, rest = _prefixed(text)
    if kind is Kind.REGISTRY:
        image = ImageReference.parse(rest)
        return Location(kind, image.place, image=image, reference=image.reference)
    if kind is None:
        path = Path(text)
        if not (_is_path(text) or path.exists()):
            image = ImageReference.parse(text)
            return Location(Kind.REGISTRY, image.place, image=image, reference=image.reference)
        path, reference = _path_and_reference(text, text)
        kind = _sniffed(path)
        return Location(kind, f"{kind}:{path}", path=path, reference=reference)
    if kind.is_daemon:
        image = ImageReference.parse(rest)
        return Location(kind, f"{kind}:{image}", names=(image,))
    if kind is not Kind.LAYOUT and rest.partition(":")[0] == _STREAM:
        tag = rest.rpartition(":")[2] if ":" in rest else ""
        return Location(kind, f"{kind}:{_STREAM}", reference=_tag(tag, text) if tag else None)
    path, reference = _path_and_reference(rest, text)
    return Location(kind, f"{kind}:{path}", path=path, reference=reference)


def parse_target(text: str) -> Location:
    """Where to write to, with any number of tags; a path that ends in .tar is an archive. Raises ReferenceInvalid."""
    kind, rest = _prefixed(text)
    if kind is None:
        kind = Kind.REGISTRY
        if text.endswith(".tar"):
            kind = Kind.OCI_ARCHIVE
        elif _is_path(text):
            kind = Kind.LAYOUT
    if kind is Kind.REGISTRY:
        first, *more = rest.split(",")
        image = ImageReference.parse(first)
        tags = ((image.tag,) if image.tag else ()) + tuple(_tag(tag, text) for tag in more)
        _check_tags(tags, text)
        return Location(kind, image.place, image=image, reference=image.digest, tags=tags)
    if kind.is_daemon:
        image = ImageReference.parse(rest)
        if image.tag is None:
            raise ReferenceInvalid(text, reason="tag", cause="an image needs a tag there, such as :1.4.2")
        return Location(kind, f"{kind}:{image}", tags=(image.tag,), names=(image,))
    if kind is Kind.DOCKER_ARCHIVE:
        place, colon, name = rest.partition(":")
        names = (ImageReference.parse(name),) if colon else ()
        tags = tuple(one.tag for one in names if one.tag is not None)
        return Location(kind, f"{kind}:{place}", path=_archive(place), tags=tags, names=names)
    place, _, names_text = _split_last(rest)
    tags = tuple(_tag(tag, text) for tag in names_text.split(",")) if names_text else ()
    _check_tags(tags, text)
    path = _archive(place) if kind is Kind.OCI_ARCHIVE else Path(place)
    return Location(kind, f"{kind}:{place}", path=path, tags=tags)


def _archive(place: str) -> Path | None:
    """The file of an archive, None for standard output."""
    return None if place == _STREAM else Path(place)


def _prefixed(text: str) -> tuple[Kind | None, str]:
    for prefix, kind in _PREFIXES.items():
        if text.startswith(prefix):
            return kind, text.removeprefix(prefix)
    return None, text


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~/")) or text in {".", ".."}


def _path_and_reference(rest: str, text: str) -> tuple[Path, Reference | None]:
    """A path, and a tag or digest behind it; a path that exists as a whole has none."""
    if Path(rest).exists():
        return Path(rest), None
    place, at, digest = rest.rpartition("@")
    if at:
        try:
            return Path(place), Digest.parse(digest)
        except DigestInvalid:
            raise ReferenceInvalid(text, reason="digest", cause=f"{digest[:100]!r} is no digest") from None
    place, colon, tag = _split_last(rest)
    # Names of images in archives may be whole references; what counts is their tag.
    return Path(place), _tag(tag.rpartition(":")[2], text) if colon else None


def _split_last(rest: str) -> tuple[str, str, str]:
    """A path and what stands behind its last colon, unless that colon is part of the path."""
    place, colon, tag = rest.rpartition(":")
    return (place, colon, tag) if colon and "/" not in tag else (rest, "", "")


def _tag(text: str, whole: str) -> Tag:
    try:
        return Tag.parse(text)
    except TagInvalid:
        raise ReferenceInvalid(whole, reason="tag", cause=f"{text[:100]!r} is no tag") from None


def _check_tags(tags: tuple[Tag, ...], text: str) -> None:
    if len(tags) > _TAGS_AT_MOST:
        raise ReferenceInvalid(text, reason="tags", cause=f"at most {_TAGS_AT_MOST} tags at once")


def _sniffed(path: Path) -> Kind:
    """What lies at a path: a folder is a layout, an archive tells by its files."""
    if path.is_dir():
        return Kind.LAYOUT
    if not path.exists():
        raise NotFound(str(path), cause="there is no such file or folder")
    try:
        with file_errors(path), tarfile.open(path, "r:") as archive:
            for _ in range(1000):
                member = archive.next()
                if member is None:
                    break
                if member.name.removeprefix("./") == "oci-layout":
                    return Kind.OCI_ARCHIVE
                if member.name.removeprefix("./") == "manifest.json":
                    return Kind.DOCKER_ARCHIVE
    except tarfile.TarError:
        pass
    return Kind.OCI_ARCHIVE
