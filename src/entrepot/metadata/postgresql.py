"""The registry's rows in a PostgreSQL database, which many processes on many hosts may share."""

import asyncio
import contextlib
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, create_engine, event, func, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from entrepot.metadata.bounded_threads import BoundedThreads
from entrepot.metadata.dialect import Dialect, PostgresqlDialect
from entrepot.metadata.hot_postgresql import PostgresqlHotReads
from entrepot.metadata.port import (
    CommitNotDurable,
    ConstraintViolation,
    DatabaseUnsuitable,
    DatabaseUrlInvalid,
    EncodingUnsuitable,
    ForeignKeyViolation,
    HotReads,
    ReadOnlyViolation,
    ServerTooOld,
    UniqueViolation,
)
from entrepot.metadata.transaction import Transaction
from entrepot.oci import StorageFull, Unavailable

VERSION_AT_LEAST = 15
CONNECTIONS = 8  # for units, per process; as many again for the pull path
CALLS_AT_MOST = 1024  # units that run or wait
RUNS_AT_MOST = 10  # of a unit that others' changes made impossible
RUN_PAUSE = 0.02  # seconds before the second run, growing with each and spread by chance
UNIT_PATIENCE = 45.0  # seconds for a unit with all its runs: longer than any one of its statements may take
PING_PATIENCE = 5.0  # seconds
CLOSING_PATIENCE = 30.0  # seconds for the units under way when the database is closed

# The server gives up first, so that nothing goes on there for which nobody waits here any more.
SESSION_SETTINGS: Final = {
    "lock_timeout": "10s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}

# A server that vanished without a word is noticed in half a minute. What the URL says of these goes before.
CONNECTION_DEFAULTS: Final = {
    "application_name": "entrepot",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}

T = TypeVar("T")

_WARNINGS = "entrepot_warnings"


class _Conflict(Unavailable):
    """Units got into each other's way; to be run again."""


class _ConnectionLost(Unavailable):
    """The server went away; nothing of the unit was committed."""


def connection_parameters(url: str) -> dict[str, Any]:
    """The URL's parameters with our defaults; raises DatabaseUrlInvalid for what libpq does not understand."""
    try:
        return {**CONNECTION_DEFAULTS, **conninfo_to_dict(url)}
    except psycopg.ProgrammingError:
        raise DatabaseUrlInvalid(reason="format") from None


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection with the settings of this session; raises psycopg.OperationalError."""
    connection: psycopg.Connection[Any] = psycopg.connect(**connection_parameters(url), autocommit=True)
    try:
        connection.execute(session_statement())
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def session_statement() -> str:
    """The statement that gives a new connection its settings."""
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SESSION_SETTINGS.items())
    return f"SELECT {calls}"


def translate(error: BaseException) -> BaseException:
    """An error of the driver, wrapped by SQLAlchemy or not, as one of the registry's; others stay as they are."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, psycopg.Error):
        return error
    state = original.sqlstate or ""
    constraint = original.diag.constraint_name
    match state[:2], state:
        case _, "23503" | "23001":
            return ForeignKeyViolation(constraint)
        case _, "23505":
            return UniqueViolation(constraint)
        case "23", _:
            return ConstraintViolation(constraint)
        case _, "25006":
            return ReadOnlyViolation()
        case _, "53100":
            return StorageFull(reason="database")
        case "40", _:
            return _Conflict(reason="busy")
        case _, "55P03":
            return Unavailable(reason="busy")
        case _, "57014":
            return Unavailable(reason="timeout")
        case "XX", _ if state in {"XX001", "XX002"}:
            return Unavailable(reason="damaged")
        case "28", _:
            return Unavailable(reason="forbidden")
        case "08" | "57", _:
            return _ConnectionLost(reason="unreachable")
        case "53" | "58", _:
            return Unavailable(reason="unreachable")
        case "", _ if isinstance(original, (psycopg.OperationalError, psycopg.InterfaceError)):
            return _ConnectionLost(reason="unreachable")
        case _:
            return error


def raise_unsuitable(version: int, encoding: str, synchronous_commit: str) -> None:
    """Refuse a server that is too old (``version`` is its major), stores no UTF-8, or answers commits too early."""
    if version < VERSION_AT_LEAST:
        raise ServerTooOld(found=version, wanted=VERSION_AT_LEAST)
    if encoding != "UTF8":
        raise EncodingUnsuitable(found=encoding)
    if synchronous_commit == "off":
        raise CommitNotDurable(setting="synchronous_commit", found=synchronous_commit)


def check_server(raw: psycopg.Connection[Any]) -> None:
    """Raise DatabaseUnsuitable if the registry must not use this database."""
    row = raw.execute(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),"
        " current_setting('synchronous_commit')"
    ).fetchone()
    raw.rollback()
    assert row is not None
    raise_unsuitable(*row)


class PostgresqlDatabase:
    """A database on a server: units run on threads with a connection each, the pull path on connections of its own.

    ``connections`` is how many of either kind there may be. Raises DatabaseUnsuitable, Unavailable when the server
    does not answer.
    """

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        self._dialect: Dialect = PostgresqlDialect()
        self._sockets: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
        self._sockets_lock = threading.Lock()
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
        self._hot = PostgresqlHotReads(connection_parameters(url), session_statement(), connections, translate)

    @property
    def hot(self) -> HotReads:
        """Reads on the event loop, without transactions."""
        return self._hot

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit in a transaction (READ COMMITTED), again after a deadlock or a lost connection."""
        return await self._bounded(self._write, unit, UNIT_PATIENCE)

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit in a read-only transaction (REPEATABLE READ)."""
        return await self._bounded(self._read, unit, UNIT_PATIENCE)

    async def ping(self) -> None:
        """Ask for the versions on a unit's connection and on one of the pull path."""
        await self._bounded(self._read, lambda tx: tx.execute(select(1)).one(), PING_PATIENCE)
        await self._hot.access_version()

    async def close(self) -> None:
        """Finish what is under way; what a silent server still holds after that is cut off."""
        await self._hot.close()
        if not await self._threads.close(CLOSING_PATIENCE):
            self._hang_up()
        self._engine.dispose()

    async def _bounded(
        self, run: Callable[[Callable[[Transaction], T]], T], unit: Callable[[Transaction], T], patience: float
    ) -> T:
        try:
            async with asyncio.timeout(patience):
                return await self._threads.run(run, unit)
        except TimeoutError:
            raise Unavailable(reason="outcome-unknown") from None

    def _write(self, unit: Callable[[Transaction], T]) -> T:
        lost = 0
        for run in range(1, RUNS_AT_MOST + 1):
            try:
                return self._run(self._engine, unit)
            except _ConnectionLost:
                lost += 1
                if lost > 1:
                    raise
            except _Conflict:
                if run == RUNS_AT_MOST:
                    raise
                time.sleep(random.uniform(0, RUN_PAUSE * run))  # noqa: S311  no secret
        raise AssertionError

    def _read(self, unit: Callable[[Transaction], T]) -> T:
        try:
            return self._run(self._reading_engine, unit)
        except (_ConnectionLost, _Conflict):
            return self._run(self._reading_engine, unit)

    def _run(self, engine: Engine, unit: Callable[[Transaction], T]) -> T:
        """One run of a unit; what it raises is one of the registry's errors, or the unit's own."""
        try:
            with engine.connect() as connection:
                value = self._run_on(connection, unit)
                _commit(connection)
                return value
        except BaseException as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error

    def _run_on(self, connection: Connection, unit: Callable[[Transaction], T]) -> T:
        transaction = Transaction(connection, self._dialect, _transaction_timestamp, _raised)
        value = unit(transaction)
        transaction.finish()
        return value

    def _connect(self, url: str) -> psycopg.Connection[Any]:
        connection = connect(url)
        with self._sockets_lock:
            self._sockets.add(connection)
        return connection

    def _check(self) -> None:
        try:
            with self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                assert isinstance(raw, psycopg.Connection)
                check_server(raw)
        except DBAPIError as error:
            raise translate(error) from error

    def _hang_up(self) -> None:
        """End the connections under threads that wait for a server which says nothing, so that the process can end."""
        with self._sockets_lock:
            connections = list(self._sockets)
        for connection in connections:
            with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=connection.fileno()) as wire:
                try:
                    wire.shutdown(socket.SHUT_RDWR)
                finally:
                    wire.detach()  # the descriptor is libpq's


def _commit(connection: Connection) -> None:
    """Commit; raises Unavailable (``outcome-unknown``) unless the server said that it did, and where it shall be."""
    warnings: list[str] = connection.info[_WARNINGS]
    warnings.clear()
    try:
        connection.commit()
    except DBAPIError as error:
        if isinstance(translate(error), (_ConnectionLost, _Conflict, ConstraintViolation)):
            pass
        raise
    if warnings:  # "canceling wait for synchronous replication": on this server's disk, not on its stand-by's
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
