"""The registry's rows in one SQLite file, which several processes of one host may share."""

import asyncio
import collections
import contextlib
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from entrepot.metadata.bounded_threads import BoundedThreads
from entrepot.metadata.dialect import Dialect, SqliteDialect
from entrepot.metadata.group_commit import LOCK_PATIENCE, GroupCommit
from entrepot.metadata.hot import ACCESS_VERSION, version_of
from entrepot.metadata.hot_sqlite import SqliteHotReads
from entrepot.metadata.port import (
    ConstraintViolation,
    ForeignKeyViolation,
    HotReads,
    JournalUnsuitable,
    ReadOnlyViolation,
    UniqueViolation,
)
from entrepot.metadata.transaction import Transaction
from entrepot.oci import StorageFull, Unavailable

READERS = 4  # threads that read: more do not help, because Python runs one of them at a time
READS_AT_MOST = 1024  # reads that run or wait, as many as writes
PATIENCE = 5.0  # seconds that opening and reading wait for a lock; both are held for moments only
CLOSING_PATIENCE = 25.0  # seconds for the reads under way when the database is closed
LOG_BYTES_KEPT = 64 * 1024 * 1024  # a write-ahead log that has once grown larger is cut back to this

T = TypeVar("T")

_CONSTRAINT = re.compile(r"constraint failed: (?P<names>.+)")


def host_clock() -> datetime:
    """The host's time, aware UTC."""
    return datetime.now(UTC)


def open_file(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a database file that is there, without transactions of its own.

    Raises sqlite3.OperationalError, JournalUnsuitable where no write-ahead log can be kept.
    """
    # Not mode=ro for readers: such a connection cannot mend a log that a killed writer left, and would answer errors.
    raw = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        (journal,) = raw.execute("PRAGMA journal_mode=WAL").fetchone()
        if journal != "wal":
            raise JournalUnsuitable(found=str(journal))
        raw.execute("PRAGMA synchronous=FULL")  # a commit is on disk before it is answered
        raw.execute("PRAGMA fullfsync=ON")  # also where fsync alone does not reach the disk (macOS)
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute("PRAGMA trusted_schema=OFF")
        raw.execute(f"PRAGMA journal_size_limit={LOG_BYTES_KEPT}")
        if read_only:
            raw.execute("PRAGMA query_only=ON")
    except BaseException:
        raw.close()
        raise
    return raw


def translate(error: BaseException) -> BaseException:
    """An error of the driver, wrapped by SQLAlchemy or not, as one of the registry's; others stay as they are."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return error
    code = getattr(original, "sqlite_errorcode", None)
    if code is None:
        return error
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return _violation(code, original)
    if primary == sqlite3.SQLITE_FULL:
        return StorageFull(reason="database")
    reason = _REASONS.get(primary)
    return error if reason is None else Unavailable(reason=reason)


_REASONS: Final = {
    sqlite3.SQLITE_AUTH: "forbidden",
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_CANTOPEN: "unreachable",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_IOERR: "unreachable",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_NOMEM: "unreachable",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_PERM: "forbidden",
    sqlite3.SQLITE_PROTOCOL: "busy",
    sqlite3.SQLITE_READONLY: "read-only",
}


def _violation(code: int, error: sqlite3.Error) -> ConstraintViolation:
    named = _CONSTRAINT.search(str(error))
    names = named["names"] if named else None
    # What ON DELETE RESTRICT refuses has the code of a trigger.
    is_restricted = code == sqlite3.SQLITE_CONSTRAINT_TRIGGER and str(error).startswith("FOREIGN KEY")
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY or is_restricted:
        return ForeignKeyViolation(names)
    if code in {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}:
        return UniqueViolation(names)
    return ConstraintViolation(names)


class SqliteFile:
    """A database file as it was when it was first opened: a file that took its place is another database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identity(path)

    def check(self) -> None:
        """Raise Unavailable if the file was removed or replaced: what is written to it now would be lost."""
        if self._identity != _identity(self.path):
            raise Unavailable(reason="moved")


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        raise Unavailable(reason="unreachable") from None
    return status.st_dev, status.st_ino


class _UnitConnection:
    """A held connection through SQLAlchemy Core; transactions are begun and ended on the driver's connection."""

    def __init__(
        self,
        engine: Engine,
        file: SqliteFile,
        clock: Callable[[], datetime],
        translate_raised: Callable[[DBAPIError], Exception],
    ) -> None:
        file.check()
        self._file = file
        self._clock = clock
        self._translate_raised = translate_raised
        self._dialect: Dialect = SqliteDialect()
        self._connection = engine.connect()
        driver_connection = self._connection.connection.driver_connection
        assert isinstance(driver_connection, sqlite3.Connection)
        self.raw: sqlite3.Connection = driver_connection

    def check(self) -> None:
        """Raise Unavailable if the file is not the one that was opened."""
        self._file.check()

    def begin_unit(self) -> Transaction:
        """A transaction at the host's present time."""
        now = self._clock()
        return Transaction(self._connection, self._dialect, lambda _: now, self._translate_raised)

    def close(self) -> None:
        """Let go of the file; whatever was not committed is undone."""
        with contextlib.suppress(sqlite3.Error, DBAPIError):
            self._connection.invalidate()
            self._connection.close()


class SqliteDatabase:
    """A database in one file: one thread writes, a few read, and the pull path reads on the event loop.

    Several processes may have the same file open; a unit waits up to ``lock_patience`` seconds for their writers.
    ``clock`` gives each unit its instant. Raises Unavailable if the file cannot be opened.
    """

    def __init__(
        self, path: Path, clock: Callable[[], datetime] = host_clock, lock_patience: float = LOCK_PATIENCE
    ) -> None:
        self._file = SqliteFile(path)
        self._clock = clock
        self._engine = create_engine(
            "sqlite://", creator=lambda: open_file(path), poolclass=NullPool, hide_parameters=True
        )
        self._threads = BoundedThreads(READERS, READS_AT_MOST, "sqlite-read")
        self._readers: collections.deque[_UnitConnection] = collections.deque()
        self._writer = GroupCommit(self._connect_writer, translate, lock_patience)
        self._hot = SqliteHotReads(lambda: open_file(path, read_only=True), self._threads, translate, clock)

    @property
    def hot(self) -> HotReads:
        """Reads on the event loop's own connection, a few microseconds each."""
        return self._hot

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit on the writing thread, perhaps in one commit with others."""
        return await self._writer.run(unit)

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Run the unit on a reading thread."""
        return await self._threads.run(self._read, unit)

    async def ping(self) -> None:
        """Read the row of versions from the file that was opened."""
        self._file.check()
        try:
            async with asyncio.timeout(PATIENCE):
                version_of(await self.read(lambda tx: tx.execute(text(ACCESS_VERSION)).all()))
        except TimeoutError:
            raise Unavailable(reason="timeout") from None

    async def close(self) -> None:
        """Finish what is under way; the last connection to leave folds the log into the file."""
        self._hot.close()
        await self._threads.close(CLOSING_PATIENCE)
        while self._readers:
            self._readers.pop().close()
        await self._writer.close()
        self._engine.dispose()

    def _connect_writer(self) -> _UnitConnection:
        connection = _UnitConnection(self._engine, self._file, self._clock, _raised)
        connection.raw.execute("PRAGMA busy_timeout=0")  # the writing thread waits by itself, and fairly
        return connection

    def _connect_reader(self) -> _UnitConnection:
        connection = _UnitConnection(self._engine, self._file, self._clock, _raised_reading)
        connection.raw.execute("PRAGMA query_only=ON")
        return connection

    def _idle_reader(self) -> _UnitConnection | None:
        try:
            return self._readers.pop()
        except IndexError:
            return None

    def _read(self, unit: Callable[[Transaction], T]) -> T:
        reader: _UnitConnection | None = None
        try:
            reader = self._idle_reader() or self._connect_reader()
            value = _read_on(reader, unit)
        except BaseException as error:
            translated = _translate_reading(error)
            if reader is not None and isinstance(translated, (Unavailable, StorageFull)):
                reader.close()  # the next one opens the file anew
            elif reader is not None:
                self._readers.append(reader)
            if translated is error:
                raise
            raise translated from error
        self._readers.append(reader)
        return value


def _read_on(reader: _UnitConnection, unit: Callable[[Transaction], T]) -> T:
    reader.raw.execute("BEGIN")  # so that all statements of the unit see the same rows
    try:
        transaction = reader.begin_unit()
        value = unit(transaction)
        transaction.finish()
        return value
    finally:
        if reader.raw.in_transaction:
            reader.raw.execute("ROLLBACK")


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
    code = getattr(original, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_READONLY:
        return ReadOnlyViolation()
    return translate(error)
