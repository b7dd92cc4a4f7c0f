"""Opening database and store, and where they lie."""

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

from entrepot.access import SKEW_AT_MOST, Keyring
from entrepot.metadata import (
    Database,
    open_database,
)
from entrepot.settings import Settings
from entrepot.storage import MARKER, BlobStore, FilesystemBlobStore


def open_ports(settings: Settings, stack: AsyncExitStack) -> tuple[Database, BlobStore]:
    """Open the database and the store of these settings for as long as ``stack`` lives."""
    database = open_database(settings.database.reveal())
    stack.push_async_callback(database.close)
    store = FilesystemBlobStore(store_directory(settings), reserve=settings.storage.reserve, marker=MARKER)
    stack.push_async_callback(store.close)
    return database, store


OpenPorts: TypeAlias = Callable[[Settings, AsyncExitStack], tuple[Database, BlobStore]]
"""How the application comes to its database and store, in the worker process that uses them."""


def make_store_directory(settings: Settings) -> None:
    """Make the directory, its entry durable before any object in it counts."""
    store_directory(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = os.open(settings.data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def store_directory(settings: Settings) -> Path:
    """Where the objects lie."""
    return settings.data / "store"


def keyring_of(settings: Settings, database: Database) -> Keyring:
    """The keys that sign tokens; a retired one counts as long as an upload session may stand for its token.

    Reads the key file; raises OSError.
    """
    lasting = max(settings.tokens.lifetime, settings.uploads.session_lifetime)
    return Keyring(database, key_file(settings), lasting + SKEW_AT_MOST)


def key_file(settings: Settings) -> bytes | None:
    """The content of the file that seals signing keys, if there is one; raises OSError."""
    path = settings.tokens.key_file
    return None if path is None else path.read_bytes()
