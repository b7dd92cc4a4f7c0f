"""Stored bytes: the port, its back ends on files and in memory, and hashing that can be resumed."""

from entrepot.storage.chunks import batched
from entrepot.storage.errors import (
    HashStateUnusable,
    KeyInvalid,
    ObjectUnknown,
    StoreEmpty,
    StoreFull,
    StoreUnavailable,
)
from entrepot.storage.filesystem import FilesystemBlobStore
from entrepot.storage.hashing import ResumableHash, hashed, self_test
from entrepot.storage.keys import new_key
from entrepot.storage.marker import MARKER, mark
from entrepot.storage.memory import MemoryBlobStore
from entrepot.storage.port import BlobStore

__all__ = [
    "MARKER",
    "BlobStore",
    "FilesystemBlobStore",
    "HashStateUnusable",
    "KeyInvalid",
    "MemoryBlobStore",
    "ObjectUnknown",
    "ResumableHash",
    "StoreEmpty",
    "StoreFull",
    "StoreUnavailable",
    "batched",
    "hashed",
    "mark",
    "new_key",
    "self_test",
]
