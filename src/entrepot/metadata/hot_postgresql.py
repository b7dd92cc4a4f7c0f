"""The reads of every request on PostgreSQL: prepared statements on the event loop, without transactions."""

import asyncio
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg

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
from entrepot.metadata.postgresql_connection import (
    ConnectionLost,
    connection_parameters,
    hang_up,
    session_statement,
    translate,
)
from entrepot.metadata.types import digest_to_bytes
from entrepot.oci import Digest, RepositoryName, Tag, Unavailable

PATIENCE = 5.0  # seconds for a connection, and as many for an answer on it
READS_AT_MOST = 1024  # reads that run or wait

_Rows = Sequence[Sequence[Any]]


_NOW: LiteralString = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"


def _placed(statement: LiteralString) -> LiteralString:
    return statement.replace("{now}", _NOW).replace("?", "%s")


_ACCESS_VERSION = _placed(ACCESS_VERSION)
_FIND_USER = _placed(FIND_USER)
_RESOLVE_TAG = _placed(RESOLVE_TAG)
_RESOLVE_DIGEST = _placed(RESOLVE_DIGEST)
_FIND_BLOB = _placed(FIND_BLOB)


class PostgresqlHotReads:
    """Point reads on up to ``connections`` connections of their own, opened when they are first needed.

    A connection that was lost while it lay idle is replaced without the caller noticing, so that a server may restart.
    """

    def __init__(self, url: str, connections: int, patience: float = PATIENCE) -> None:
        self._url = url
        self._patience = patience
        self._places = asyncio.Semaphore(connections)
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._reads = 0
        self._closed = False

    async def access_version(self) -> int:
        """The number that every change of rights moves on."""
        return version_of(await self._rows(_ACCESS_VERSION, ()))

    async def find_user(self, name: str) -> UserRow | None:
        """The user of that name, compared by bytes."""
        return user_of(await self._rows(_FIND_USER, (name,)))

    async def resolve_tag(self, repository: RepositoryName, tag: Tag) -> ResolvedManifest:
        """The manifest on which the tag stands."""
        return manifest_of(await self._rows(_RESOLVE_TAG, (repository.text, tag.text)))

    async def resolve_digest(self, repository: RepositoryName, digest: Digest) -> ResolvedManifest:
        """The repository's manifest of that digest."""
        return manifest_of(await self._rows(_RESOLVE_DIGEST, (repository.text, digest_to_bytes(digest))))

    async def find_blob(self, repository: RepositoryName, digest: Digest) -> ResolvedBlob:
        """The repository's blob of that digest, and where its bytes lie."""
        return blob_of(await self._rows(_FIND_BLOB, (repository.text, digest_to_bytes(digest))))

    async def close(self) -> None:
        """Let go of the connections, and refuse further reads."""
        self._closed = True
        await self._drop_idle()

    async def _rows(self, statement: LiteralString, parameters: tuple[str | bytes, ...]) -> _Rows:
        if self._reads >= READS_AT_MOST:
            raise Unavailable(reason="queue")
        self._reads += 1
        try:
            if self._places.locked():
                await self._wait_for_place()
            else:
                await self._places.acquire()
            try:
                if self._idle:
                    try:
                        return await self._ask(self._idle.pop(), statement, parameters)
                    except ConnectionLost:
                        await self._drop_idle()  # they went the same way
                return await self._ask(await self._connect(), statement, parameters)
            finally:
                self._places.release()
        finally:
            self._reads -= 1

    async def _wait_for_place(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise Unavailable(reason="busy") from None

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        if self._closed:
            raise Unavailable(reason="closed")
        try:
            connection: psycopg.AsyncConnection[Any] = await psycopg.AsyncConnection.connect(
                **connection_parameters(self._url), autocommit=True
            )
        except psycopg.Error as error:
            raise translate(error) from error
        await self._fetch(connection, session_statement(), ())
        return connection

    async def _ask(
        self,
        connection: psycopg.AsyncConnection[Any],
        statement: LiteralString,
        parameters: tuple[str | bytes, ...],
    ) -> _Rows:
        rows = await self._fetch(connection, statement, parameters)
        if self._closed:
            await connection.close()
        else:
            self._idle.append(connection)
        return rows

    async def _fetch(
        self, connection: psycopg.AsyncConnection[Any], statement: LiteralString, parameters: tuple[str | bytes, ...]
    ) -> _Rows:
        """The statement's rows; closes the connection unless they came."""
        # No time-out that cancels: psycopg answers a cancellation by waiting once more for the server.
        loop = asyncio.get_running_loop()
        watch = loop.call_later(self._patience, hang_up, connection)
        try:
            cursor = await connection.execute(statement, parameters, prepare=True, binary=True)
            return await cursor.fetchall()
        except psycopg.Error as error:
            await connection.close()
            if loop.time() >= watch.when():
                raise Unavailable(reason="timeout") from error
            raise translate(error) from error
        except BaseException:
            await connection.close()
            raise
        finally:
            watch.cancel()

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()
