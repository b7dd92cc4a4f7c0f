"""The registry's rows in a PostgreSQL database, which many processes on many hosts may share."""

import asyncio
import random
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError

from entrepot.metadata.bounded_threads import BoundedThreads
from entrepot.metadata.dialect import Dialect, PostgresqlDialect
from entrepot.metadata.hot_postgresql import PATIENCE, PostgresqlHotReads
from entrepot.metadata.port import ConstraintViolation, HotReads, ReadOnlyViolation
from entrepot.metadata.postgresql_connection import (
    Conflict,
    ConnectionLost,
    check_server,
    connect,
    hang_up,
    translate,
)
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Unavailable

CONNECTIONS = 8  # for units, per process; as many again for the pull path
CALLS_AT_MOST = 1024  # units that run or wait
RUNS_AT_MOST = 10  # of a unit that others' changes made impossible
RUN_PAUSE = 0.02  # seconds before the second run, growing with each and spread by chance
UNIT_PATIENCE = 45.0  # seconds for a unit with all its runs: longer than any one of its statements may take
CLOSING_PATIENCE = 25.0  # seconds for the units under way when the database is closed

T = TypeVar("T")

_WARNINGS = "entrepot_warnings"


class PostgresqlDatabase:
    """A database on a server: units run on threads with a connection each, the pull path on connections of its own.

    ``connections`` is how many of either kind there may be; a read of the pull path waits at most ``patience`` seconds
    for one, and as long for its answer. Raises DatabaseUnsuitable, Unavailable when the server
    does not answer.
    """

    def __init__(self, url: str, connections: int = CONNECTIONS, patience: float = PATIENCE) -> None:
        self._dialect: Dialect = PostgresqlDialect()
        self._closed = False
        self._patience = patience
        self._opened: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
        self._opened_lock = threading.Lock()
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: self._connect(url),
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _collect_warnings)
        self._reading_engine = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._check()
        self._threads = BoundedThreads(connections, CALLS_AT_MOST, "postgresql")
        self._hot = PostgresqlHotReads(url, connections, patience)

    @property
    def hot(self) -> HotReads:
        """Reads on the event loop, without transactions."""
        return self._hot

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit in a transaction (READ COMMITTED), again after a deadlock or a lost connection."""
        try:
            async with asyncio.timeout(UNIT_PATIENCE):
                return await self._threads.run(self._write, unit)
        except TimeoutError:
            raise Unavailable(reason="outcome-unknown") from None

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit in a read-only transaction (REPEATABLE READ)."""
        return await self._read_within(UNIT_PATIENCE, unit)

    async def ping(self) -> None:
        """Ask on a unit's connection and on one of the pull path."""
        await self._read_within(self._patience, lambda tx: tx.execute(select(1)).one())
        await self._hot.access_version()

    async def close(self) -> None:
        """Finish what is under way; what a silent server still holds after that is cut off."""
        await self._hot.close()
        ended = await self._threads.close(CLOSING_PATIENCE)
        self._closed = True
        if not ended:
            with self._opened_lock:
                connections = list(self._opened)
            for connection in connections:
                hang_up(connection)
        self._engine.dispose()

    async def _read_within(self, patience: float, unit: Callable[[Transaction], T]) -> T:
        try:
            async with asyncio.timeout(patience):
                return await self._threads.run(self._read, unit)
        except TimeoutError:
            raise Unavailable(reason="timeout") from None

    def _write(self, unit: Callable[[Transaction], T]) -> T:
        lost = False
        for run in range(1, RUNS_AT_MOST):
            try:
                return self._run(unit)
            except ConnectionLost:
                if lost:
                    raise
                lost = True
            except Conflict:
                time.sleep(random.uniform(0, RUN_PAUSE * run))  # ruff: ignore[suspicious-non-cryptographic-random-usage]  no secret
        return self._run(unit)

    def _run(self, unit: Callable[[Transaction], T]) -> T:
        """One run of a unit, to its commit; what it raises is one of the registry's errors, or the unit's own."""
        try:
            with self._engine.connect() as connection:
                value = self._run_on(connection, unit, _raised)
                _commit(connection)
                return value
        except BaseException as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error

    def _read(self, unit: Callable[[Transaction], T]) -> T:
        try:
            return self._read_once(unit)
        except (ConnectionLost, Conflict):
            return self._read_once(unit)

    def _read_once(self, unit: Callable[[Transaction], T]) -> T:
        try:
            with self._reading_engine.connect() as connection:
                return self._run_on(connection, unit, _raised_reading)
        except BaseException as error:
            translated = _translate_reading(error)
            if translated is error:
                raise
            raise translated from error

    def _run_on(
        self, connection: Connection, unit: Callable[[Transaction], T], raised: Callable[[DBAPIError], Exception]
    ) -> T:
        transaction = Transaction(connection, self._dialect, _transaction_timestamp, raised)
        value = unit(transaction)
        transaction.finish()
        return value

    def _connect(self, url: str) -> psycopg.Connection[Any]:
        if self._closed:
            raise Unavailable(reason="closed")
        connection = connect(url)
        with self._opened_lock:
            self._opened.add(connection)
        return connection

    def _check(self) -> None:
        try:
            with self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                assert isinstance(raw, psycopg.Connection)
                check_server(raw)
        except DBAPIError as error:
            raise _raised(error) from error


def _commit(connection: Connection) -> None:
    """Commit; raises Unavailable (``outcome-unknown``) unless the server said that it did, or did not."""
    warnings: list[str] = connection.info[_WARNINGS]
    warnings.clear()
    try:
        connection.commit()
    except DBAPIError as error:
        if isinstance(translate(error), (Conflict, ConstraintViolation)):
            raise
        raise Unavailable(reason="outcome-unknown") from error
    if warnings:  # "canceling wait for synchronous replication": it is on this server's disk only, against the settings
        raise Unavailable(reason="outcome-unknown")


def _collect_warnings(raw: psycopg.Connection[Any], record: Any) -> None:
    warnings: list[str] = []
    record.info[_WARNINGS] = warnings

    def collect(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(diagnostic.sqlstate or "")

    raw.add_notice_handler(collect)


def _transaction_timestamp(connection: Connection) -> datetime:
    instant: datetime = connection.execute(select(func.transaction_timestamp())).scalar_one()
    return instant.astimezone(UTC)


def _raised(error: DBAPIError) -> Exception:
    translated = translate(error)
    assert isinstance(translated, Exception)
    return translated


def _raised_reading(error: DBAPIError) -> Exception:
    translated = _translate_reading(error)
    assert isinstance(translated, Exception)
    return translated


def _translate_reading(error: BaseException) -> BaseException:
    """Like ``translate``, where refused writes are the unit's fault."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, psycopg.errors.ReadOnlySqlTransaction):
        return ReadOnlyViolation()
    return translate(error)
