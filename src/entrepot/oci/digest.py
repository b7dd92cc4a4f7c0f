"""Digests: the addresses of content (image spec, descriptor.md, "Digests")."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from entrepot.oci.errors import DigestInvalid


class Algorithm(StrEnum):
    """The registered hash algorithms that this registry accepts (image spec, "Registered algorithms")."""

    SHA256 = "sha256"
    SHA512 = "sha512"

    @property
    def hex_characters(self) -> int:
        """The length of the encoded part."""
        return 64 if self is Algorithm.SHA256 else 128

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an algorithm's name; raises DigestInvalid for one that is not supported."""
        try:
            return cls(text)
        except ValueError:
            raise DigestInvalid(digest=text[:_SHOWN], reason="algorithm") from None


_SHOWN = 160  # characters of a refused digest that are shown back: the longest valid one and a little
_ENCODED = {algorithm: re.compile(f"[0-9a-f]{{{algorithm.hex_characters}}}", re.ASCII) for algorithm in Algorithm}


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The address of some content: a hash algorithm and lower-case hex."""

    algorithm: Algorithm
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:hex``; raises DigestInvalid for anything else."""
        name, separator, encoded = text.partition(":")
        if not separator:
            raise DigestInvalid(digest=text[:_SHOWN], reason="format")
        algorithm = Algorithm.parse(name)
        if not _ENCODED[algorithm].fullmatch(encoded):
            raise DigestInvalid(digest=text[:_SHOWN], reason="format")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> Self:
        """The digest of ``content``; for small content, as it hashes in the caller's thread."""
        return cls(algorithm, hashlib.new(algorithm.value, content).hexdigest())

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override is newer than Python 3.11
        return f"{self.algorithm.value}:{self.encoded}"
