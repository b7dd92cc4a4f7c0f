"""Secrets at rest, sealed with the content of a key file that lies outside the database.

A sealed value is ``ENTSEAL``, a version byte, a salt (16 bytes), a nonce (12 bytes) and the output of AES-256-GCM; the
key is HKDF-SHA256 of the key file under that salt. The purpose goes into the key, so that a value cannot be put in the
place of another.
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from entrepot.oci import Unavailable

KEY_FILE_BYTES_AT_LEAST = 32  # as many random bytes as the derived key has

_HEADER: Final = b"ENTSEAL\x01"
_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16


class SealInvalid(Unavailable):
    """A stored secret cannot be opened.

    ``reason`` is ``format``, ``key-file`` (another one, or damage) or ``key-file-too-short``.
    """

    message = "a stored secret cannot be opened with this key file"


def seal(secret: bytes, key_file: bytes, *, purpose: str) -> bytes:
    """Encrypt ``secret`` for ``purpose``; raises SealInvalid for a key file of fewer than 32 bytes."""
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    return _HEADER + salt + nonce + _cipher(key_file, salt, purpose).encrypt(nonce, secret, _HEADER)


def unseal(sealed: bytes, key_file: bytes, *, purpose: str) -> bytes:
    """Decrypt what ``seal`` made for the same purpose; raises SealInvalid."""
    content = sealed[len(_HEADER) :]
    if not is_sealed(sealed) or len(content) < _SALT_BYTES + _NONCE_BYTES + _TAG_BYTES:
        raise SealInvalid(reason="format")
    salt, nonce = content[:_SALT_BYTES], content[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
    try:
        return _cipher(key_file, salt, purpose).decrypt(nonce, content[_SALT_BYTES + _NONCE_BYTES :], _HEADER)
    except InvalidTag:
        raise SealInvalid(reason="key-file") from None


def is_sealed(stored: bytes) -> bool:
    """Whether ``stored`` was made by ``seal`` and not left open for want of a key file."""
    return stored.startswith(_HEADER)


def _cipher(key_file: bytes, salt: bytes, purpose: str) -> AESGCM:
    if len(key_file) < KEY_FILE_BYTES_AT_LEAST:
        raise SealInvalid(reason="key-file-too-short", bytes_at_least=KEY_FILE_BYTES_AT_LEAST)
    return AESGCM(HKDF(SHA256(), 32, salt, b"entrepot seal 1: " + purpose.encode()).derive(key_file))
