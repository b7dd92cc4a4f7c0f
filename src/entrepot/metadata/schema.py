"""The schema's versions: which one a database has, bringing it up to date, and whether it is sound."""

import contextlib
import os
import sqlite3
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from entrepot.metadata import postgresql_connection, sqlite
from entrepot.metadata.job_tables import jobs
from entrepot.metadata.port import DatabaseUrlInvalid, SchemaMissing, SchemaNewer, SchemaOlder
from entrepot.metadata.tables import projects, stores, versions
from entrepot.oci import Unavailable

_MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE_LOCK: Final = 0x656E_7472_6570_6F74  # "entrepot", the number of PostgreSQL's advisory lock
_UPGRADE_PATIENCE = 600_000  # milliseconds for another process's upgrade of a large database
_SQLITE_PREFIX = "sqlite:///"
_POSTGRESQL_PREFIXES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A database file."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresqlAddress:
    """A database on a server; the URL may hold a password."""

    url: str = field(repr=False)


Address: TypeAlias = SqliteAddress | PostgresqlAddress


def parse_address(url: str) -> Address:
    """Read ``sqlite:///PATH`` (a fourth slash begins an absolute path) or a libpq URL; raises DatabaseUrlInvalid."""
    if url.startswith(_SQLITE_PREFIX) and (path := url.removeprefix(_SQLITE_PREFIX)):
        return SqliteAddress(Path(path))
    if url.startswith(_POSTGRESQL_PREFIXES):
        postgresql_connection.connection_parameters(url)
        return PostgresqlAddress(url)
    raise DatabaseUrlInvalid(reason="scheme")


def upgrade(url: str) -> None:
    """Bring the schema up to date, all or nothing; a SQLite file that is not there is made (mode 0600).

    Several processes may do so at once: one works and the others find it done. Raises SchemaNewer, other
    DatabaseUnsuitable, Unavailable.
    """
    address = parse_address(url)
    if isinstance(address, SqliteAddress):
        _make_file(address.path)
    with _transaction(address, writing=True) as connection:
        if isinstance(address, PostgresqlAddress):
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_UPGRADE_PATIENCE}")
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
        with contextlib.suppress(SchemaMissing, SchemaOlder):
            _require_head(connection)
            return
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(url: str) -> str | None:
    """The revision that the database has, or None if it has no schema; makes nothing."""
    address = parse_address(url)
    if isinstance(address, SqliteAddress) and not address.path.exists():
        return None
    with _transaction(address) as connection:
        return _revision(connection)


def require_current(url: str) -> None:
    """Raise SchemaMissing, SchemaOlder or SchemaNewer unless the schema is the one of this program."""
    address = parse_address(url)
    if isinstance(address, SqliteAddress) and not address.path.exists():
        raise SchemaMissing(found=None, wanted=head())
    with _transaction(address) as connection:
        _require_head(connection)


def check(url: str) -> list[str]:
    """What is wrong with the database, in words; empty if nothing is.

    Reads everything on SQLite (integrity and foreign keys). Raises SchemaMismatch, other DatabaseUnsuitable,
    Unavailable.
    """
    require_current(url)
    address = parse_address(url)
    with _transaction(address) as connection:
        own = _sqlite_problems(connection) if isinstance(address, SqliteAddress) else _postgresql_problems(connection)
        return [*own, *_missing_rows(connection), *_schema_differences(connection)]


def head() -> str:
    """The revision that this program needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _require_head(connection: Connection) -> None:
    found, wanted = _revision(connection), head()
    if found == wanted:
        return
    if found is None:
        raise SchemaMissing(found=found, wanted=wanted)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    raise SchemaOlder(found=found, wanted=wanted) if found in known else SchemaNewer(found=found, wanted=wanted)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@contextlib.contextmanager
def _transaction(address: Address, *, writing: bool = False) -> Generator[Connection]:
    """A connection of its own in a transaction that is committed at the end; errors are the registry's."""
    if isinstance(address, SqliteAddress):
        engine = create_engine(
            "sqlite://", creator=lambda: sqlite.open_file(address.path), poolclass=NullPool, hide_parameters=True
        )
        event.listen(engine, "begin", _begin_upgrade if writing else _begin)
        translate = sqlite.translate
    else:
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: postgresql_connection.connect(address.url),
            poolclass=NullPool,
            hide_parameters=True,
        )
        translate = postgresql_connection.translate
    try:
        with engine.begin() as connection:
            if isinstance(raw := connection.connection.driver_connection, psycopg.Connection):
                postgresql_connection.check_server(raw)
            yield connection
    except (DBAPIError, sqlite3.Error) as error:
        translated = translate(error)
        if translated is error:
            raise
        raise translated from error


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_upgrade(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_UPGRADE_PATIENCE}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _make_file(path: Path) -> None:
    """Make an empty database file that only its owner may read, its directory entry durable."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise Unavailable(reason="unreachable", path=str(path)) from error


def _sqlite_problems(connection: Connection) -> list[str]:
    problems = [
        f"the file is damaged: {row[0]}"
        for row in connection.exec_driver_sql("PRAGMA integrity_check")
        if row[0] != "ok"
    ]
    problems.extend(
        f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there"
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
    )
    return problems


def _postgresql_problems(connection: Connection) -> list[str]:
    problems = [
        f"the server's setting {name} is off: acknowledged pushes could be lost by a power cut"
        for name in ("fsync", "full_page_writes")
        if connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one() == "off"
    ]
    invalid = connection.execute(
        text("SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid")
    ).scalars()
    problems.extend(f"the index {name} is invalid; rebuild it: REINDEX INDEX {name}" for name in invalid)
    return problems


def _missing_rows(connection: Connection) -> list[str]:
    return [
        f"row 1 of {table.name} is missing"
        for table in (versions, projects, stores)
        if connection.execute(select(table.c.id).where(table.c.id == 1)).one_or_none() is None
    ]


def _schema_differences(connection: Connection) -> list[str]:
    context = MigrationContext.configure(connection)
    return [
        f"the schema differs from what it should be: {difference}"
        for difference in compare_metadata(context, jobs.metadata)
    ]
