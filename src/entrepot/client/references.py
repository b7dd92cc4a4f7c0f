"""How images are named on the command line: ``host[:port]/repository[:tag][@digest]``."""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from entrepot.client.errors import ReferenceInvalid
from entrepot.oci import Digest, DigestInvalid, NameInvalid, Reference, RepositoryName, Tag, TagInvalid

DOCKER_HUB: Final = "docker.io"
LATEST: Final = Tag("latest")

_HOST = re.compile(
    r"(?:\[[0-9a-fA-F:.]{2,45}\]|[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,62}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,62}[a-zA-Z0-9])?)*)(?::([0-9]{1,5}))?",
    re.ASCII,
)
_PORT_AT_MOST = 65535
HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A repository of a registry, and a tag or a digest or both in it."""

    registry: str
    """``host[:port]``; ``docker.io`` for Docker Hub."""
    repository: RepositoryName
    tag: Tag | None = None
    digest: Digest | None = None
    is_short: bool = False
    """Whether the registry was not written, so that Docker Hub is meant."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; raises ReferenceInvalid that tells the wrong part and the nearest valid form."""
        if "://" in text:
            cause = "a reference has no scheme in front: whether TLS is spoken is another question"
            raise ReferenceInvalid(text[:_SHOWN], reason="scheme", cause=cause, next_command=_nearest(text))
        rest, at, digest_text = text.partition("@")
        digest = _digest(text, digest_text) if at else None
        first, slash, path = rest.partition("/")
        is_short = not (slash and is_registry(first))
        if not is_short:
            registry, name = first.lower(), path
        else:
            registry, name = DOCKER_HUB, rest
        name, colon, tag_text = name.partition(":")
        tag = _tag(text, tag_text) if colon else None
        if not is_short:
            _check_registry(text, registry)
        if registry in HUB_NAMES:
            registry = DOCKER_HUB
            name = name if "/" in name else f"library/{name}"
        return cls(registry, _name(text, name), tag, digest, is_short)

    @property
    def reference(self) -> Reference:
        """What is asked for: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or LATEST

    def at(self, reference: Reference) -> "ImageReference":
        """The same repository with this tag or digest alone."""
        if isinstance(reference, Digest):
            return replace(self, tag=None, digest=reference)
        return replace(self, tag=reference, digest=None)

    @property
    def place(self) -> str:
        """``host/repository``, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override is newer than Python 3.11
        return self.place + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def is_registry(text: str) -> bool:
    """Whether the first part of a reference is a registry's host and not the beginning of a repository's name."""
    return text == "localhost" or "." in text or ":" in text


def is_bare_registry(text: str) -> bool:
    """Whether a text is ``host[:port]`` alone, and not a short name of an image with its tag."""
    host = text.partition(":")[0]
    return "/" not in text and "@" not in text and (host == "localhost" or "." in host or text.startswith("["))


def parse_registry(text: str) -> str:
    """Read ``host[:port]``, also out of a URL; raises ReferenceInvalid."""
    bare = text.partition("://")[2] or text
    bare = bare.rstrip("/").lower()
    _check_registry(text, bare)
    return DOCKER_HUB if bare in HUB_NAMES else bare


def _check_registry(text: str, registry: str) -> None:
    match = _HOST.fullmatch(registry)
    if match is None or int(match[1] or "1") not in range(1, _PORT_AT_MOST + 1):
        raise ReferenceInvalid(text[:_SHOWN], reason="registry", cause=f"{registry[:_SHOWN]!r} is no host[:port]")


def _name(text: str, name: str) -> RepositoryName:
    try:
        return RepositoryName.parse(name)
    except NameInvalid:
        cause = f"{name[:_SHOWN]!r} is no repository name: lower-case letters, digits and . _ - / between them"
        raise ReferenceInvalid(text[:_SHOWN], reason="name", cause=cause, next_command=_nearest(text)) from None


def _tag(text: str, tag: str) -> Tag:
    try:
        return Tag.parse(tag)
    except TagInvalid:
        cause = f"{tag[:_SHOWN]!r} is no tag: letters, digits, . _ - and at most 128 of them"
        raise ReferenceInvalid(text[:_SHOWN], reason="tag", cause=cause, next_command=_nearest(text)) from None


def _digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except DigestInvalid:
        cause = f"{digest[:_SHOWN]!r} is no digest: sha256: and 64 lower-case hexadecimal digits"
        raise ReferenceInvalid(text[:_SHOWN], reason="digest", cause=cause, next_command=_nearest(text)) from None


def _nearest(text: str) -> str:
    """A valid reference that differs as little as possible, "" if none is close."""
    bare, at, digest = text.rpartition("://")[2].rstrip("/:@ ").lstrip("/ ").partition("@")
    first, slash, rest = bare.partition("/")
    name, colon, tag = (rest if slash else bare).partition(":")
    name = re.sub(r"[^a-z0-9._/-]+", "-", name.lower()).strip("-./_")
    tag = re.sub(r"[^a-zA-Z0-9_.-]+", "-", tag).lstrip(".-")
    made = (f"{first}/" if slash else "") + name + (f":{tag}" if colon and tag else "") + at + digest.lower()
    try:
        ImageReference.parse(made)
    except (ReferenceInvalid, RecursionError):
        return ""
    return f"did you mean {made}"
