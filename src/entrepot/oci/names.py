"""Repository names, tags and references (distribution spec, "Pulling manifests")."""

import re
from dataclasses import dataclass
from typing import Self, TypeAlias

from entrepot.oci.digest import Digest
from entrepot.oci.errors import NameInvalid, TagInvalid

NAME_CHARACTERS_AT_MOST = 255  # the specification warns that clients limit host and name together to 255
TAG_CHARACTERS_AT_MOST = 128

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class RepositoryName:
    """The name of a repository, path components joined by slashes."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name; raises NameInvalid outside the grammar or beyond 255 characters."""
        if len(text) > NAME_CHARACTERS_AT_MOST or not _NAME.fullmatch(text):
            raise NameInvalid(name=text[:NAME_CHARACTERS_AT_MOST])
        return cls(text)

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override is newer than Python 3.11
        return self.text


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A name for a manifest inside a repository, which may move."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a tag; raises TagInvalid outside the grammar or beyond 128 characters."""
        if not _TAG.fullmatch(text):
            raise TagInvalid(tag=text[:TAG_CHARACTERS_AT_MOST])
        return cls(text)

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override is newer than Python 3.11
        return self.text


Reference: TypeAlias = Tag | Digest


def parse_reference(text: str) -> Reference:
    """Read a tag or a digest; a colon makes it a digest. Raises TagInvalid, DigestInvalid."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)
