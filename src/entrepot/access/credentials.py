"""Secrets that are made here, shown once and recognised again: tokens, robots' secrets, refresh tokens, sessions."""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from entrepot.secrets import Secret

UID_CHARACTERS: Final = 16
SECRET_CHARACTERS: Final = 32  # 190 bits

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECKSUM_CHARACTERS = 6  # 62**6 is more than 2**32
_SHAPE = re.compile(r"ent([prfs])_([0-9A-Za-z]{16})[0-9A-Za-z]{32}([0-9A-Za-z]{6})", re.ASCII)
_BEGINNING = re.compile(r"ent[prfs]_", re.ASCII)


class CredentialKind(StrEnum):
    """What a credential is for; the value is that of its row."""

    TOKEN = "token"  # ruff: ignore[hardcoded-password-string]  a kind, no secret
    SECRET = "secret"  # ruff: ignore[hardcoded-password-string]  likewise
    REFRESH = "refresh"
    SESSION = "session"


_LETTERS = {
    CredentialKind.TOKEN: "p",
    CredentialKind.SECRET: "r",
    CredentialKind.REFRESH: "f",
    CredentialKind.SESSION: "s",
}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class Credential:
    """``ent{p|r|f|s}_``, then 16 characters by which its row is found, 32 that are secret, and 6 of a CRC-32.

    The beginning lets scanners recognise it, the checksum refuses what was mistyped or made up before anything is read.
    """

    kind: CredentialKind
    uid: str
    text: Secret

    @classmethod
    def make(cls, kind: CredentialKind) -> Self:
        """A new one."""
        uid, secret = (_random(length) for length in (UID_CHARACTERS, SECRET_CHARACTERS))
        body = f"ent{_LETTERS[kind]}_{uid}{secret}"
        return cls(kind, uid, Secret(body + _checksum(body)))

    @classmethod
    def parse(cls, text: Secret) -> Self | None:
        """The credential that a text is, or None."""
        match = _SHAPE.fullmatch(text.reveal())
        if match is None or _checksum(match[0][:-_CHECKSUM_CHARACTERS]) != match[3]:
            return None
        return cls(_KINDS[match[1]], match[2], text)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the whole; enough for a secret of so many random bits."""
        return hashlib.sha256(self.text.reveal().encode("ascii")).digest()

    def has_digest(self, digest: bytes) -> bool:
        """Whether it is the one with this digest, in constant time."""
        return hmac.compare_digest(self.digest, digest)


def looks_like_a_credential(text: Secret) -> bool:
    """Whether a text begins like one, and so is never tried as a password."""
    return _BEGINNING.match(text.reveal()) is not None


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
