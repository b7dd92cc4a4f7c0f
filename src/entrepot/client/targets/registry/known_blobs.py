"""Which repositories hold which blobs, as far as this user's commands have seen: where to mount from."""

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Final

from entrepot.client.state import state_folder
from entrepot.oci import Digest

SECONDS_KEPT: Final = 90 * 24 * 3600
ROWS_AT_MOST: Final = 200_000
_SECONDS_TO_WAIT: Final = 2.0  # for another process that writes
_TABLE: Final = """\
create table if not exists known_blobs (
    registry text not null, digest text not null, repository text not null, seen_at integer not null,
    primary key (registry, digest, repository)
) without rowid"""


class KnownBlobs:
    """A small database of hints; what cannot be read or written, and what is wrong in it, ends no upload."""

    def __init__(self, file: Path | None = None, *, is_kept: bool = True) -> None:
        self._file = file or state_folder() / "blobs.sqlite"
        self._is_kept = is_kept
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def note(self, registry: str, repository: str, digest: Digest) -> None:
        """Remember that a repository holds a blob."""
        row = (registry, str(digest), repository, int(time.time()))
        self._ask("insert or replace into known_blobs values (?, ?, ?, ?)", row)

    def forget(self, registry: str, repository: str, digest: Digest) -> None:
        """It does not."""
        row = (registry, str(digest), repository)
        self._ask("delete from known_blobs where registry = ? and digest = ? and repository = ?", row)

    def find(self, registry: str, digest: Digest, but: str) -> str | None:
        """The repository that was last seen to hold a blob, other than one."""
        question = (
            "select repository from known_blobs where registry = ? and digest = ? and repository <> ?"
            " order by seen_at desc limit 1"
        )
        return self._ask(question, (registry, str(digest), but))

    def _ask(self, statement: str, values: tuple[str | int, ...]) -> str | None:
        """The first value of the first row, if the database can be used and there is one."""
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            if self._connection is None:
                self._connection = self._opened()
            with self._connection:
                found = self._connection.execute(statement, values).fetchone()
                return None if found is None else str(found[0])
        return None

    def _opened(self) -> sqlite3.Connection:
        name = ":memory:"
        if self._is_kept:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Names of repositories are their owner's alone.
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            name = str(self._file)
        database = sqlite3.connect(name, timeout=_SECONDS_TO_WAIT, check_same_thread=False)
        try:
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = off")  # a hint that is lost costs an upload
            database.execute(_TABLE)
            with database:
                _trim(database)
        except BaseException:
            database.close()
            raise
        return database


def _trim(database: sqlite3.Connection) -> None:
    """Remove what is old, and all where there is too much."""
    database.execute("delete from known_blobs where seen_at < ?", (int(time.time()) - SECONDS_KEPT,))
    (count,) = database.execute("select count(*) from known_blobs").fetchone()
    if count > ROWS_AT_MOST:
        database.execute("delete from known_blobs")
