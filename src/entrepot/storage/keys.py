"""The grammar of keys, checked in one place so that no key can name anything outside the store."""

import re
import secrets

from entrepot.storage.errors import KeyInvalid

_SHARD = re.compile(r"[0-9a-f]{2}", re.ASCII)
_KEY = re.compile(r"objects/[0-9a-f]{2}/[0-9a-f]{32}", re.ASCII)


def new_key() -> str:
    """A random key that nobody can guess; record it before the first byte is stored under it."""
    identifier = secrets.token_hex(16)
    return f"objects/{identifier[:2]}/{identifier}"


def is_key(text: str) -> bool:
    """Whether ``text`` has the form ``objects/<2 hex>/<32 hex>``."""
    return _KEY.fullmatch(text) is not None


def is_shard(name: str) -> bool:
    """Whether ``name`` is two lower-case hex digits, the middle part of a key."""
    return _SHARD.fullmatch(name) is not None


def checked_key(key: str) -> str:
    """The key itself; raises KeyInvalid outside the grammar."""
    if not is_key(key):
        raise KeyInvalid(f"not a key: {key!r}")
    return key
