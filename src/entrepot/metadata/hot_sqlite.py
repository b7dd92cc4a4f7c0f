"""The reads of every request on SQLite: called on the event loop, as a thread would cost forty times that."""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from entrepot.metadata.bounded_threads import BoundedThreads
from entrepot.metadata.hot import (
    ACCESS_VERSION,
    FIND_BLOB,
    FIND_USER,
    RESOLVE_DIGEST,
    RESOLVE_TAG,
    blob_of,
    manifest_of,
    user_of,
    version_of,
)
from entrepot.metadata.port import ResolvedBlob, ResolvedManifest, UserRow
from entrepot.metadata.types import digest_to_bytes, instant_to_microseconds
from entrepot.oci import Digest, RepositoryName, Tag, Unavailable

_Rows = Sequence[Sequence[Any]]

_RESOLVE_TAG, _RESOLVE_DIGEST, _FIND_BLOB = (
    statement.replace("{now}", "?") for statement in (RESOLVE_TAG, RESOLVE_DIGEST, FIND_BLOB)
)


class SqliteHotReads:
    """Point reads on a connection of their own, each its own snapshot: it is read to its end before it is answered."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        threads: BoundedThreads,
        translate: Callable[[BaseException], BaseException],
        clock: Callable[[], datetime],
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._threads = threads
        self._translate = translate
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def access_version(self) -> int:
        """The number that every change of rights moves on."""
        return version_of(await self._rows(ACCESS_VERSION, ()))

    async def find_user(self, name: str) -> UserRow | None:
        """The user of that name, compared by bytes."""
        return user_of(await self._rows(FIND_USER, (name,)))

    async def resolve_tag(self, repository: RepositoryName, tag: Tag) -> ResolvedManifest:
        """The manifest on which the tag stands."""
        return manifest_of(await self._rows(_RESOLVE_TAG, (self._now(), repository.text, tag.text)))

    async def resolve_digest(self, repository: RepositoryName, digest: Digest) -> ResolvedManifest:
        """The repository's manifest of that digest."""
        return manifest_of(await self._rows(_RESOLVE_DIGEST, (self._now(), repository.text, digest_to_bytes(digest))))

    async def find_blob(self, repository: RepositoryName, digest: Digest) -> ResolvedBlob:
        """The repository's blob of that digest, and where its bytes lie."""
        return blob_of(await self._rows(_FIND_BLOB, (self._now(), repository.text, digest_to_bytes(digest))))

    def close(self) -> None:
        """Let go of the file, and refuse further reads."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _now(self) -> int:
        return instant_to_microseconds(self._clock())

    async def _rows(self, statement: str, parameters: tuple[str | bytes | int, ...]) -> _Rows:
        try:
            connection = await self._open() if self._connection is None else self._connection
            return connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            if _is_busy(error):  # a killed writer's log is being mended; waiting would hold up the loop
                return await self._threads.run(self._rows_patiently, statement, parameters)
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            raise self._translate(error) from error

    async def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(reason="closed")
        return self._keep(await self._threads.run(self._connect))

    def _keep(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Make the connection the one of all reads, unless another read was faster."""
        if self._closed or self._connection is not None:
            connection.close()
        if self._closed:
            raise Unavailable(reason="closed")
        if self._connection is None:
            connection.execute("PRAGMA busy_timeout=0")  # the loop must not wait
            self._connection = connection
        return self._connection

    def _rows_patiently(self, statement: str, parameters: tuple[str | bytes | int, ...]) -> _Rows:
        try:
            with contextlib.closing(self._connect()) as connection:
                return connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._translate(error) from error


def _is_busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
