"""The schema that the migrations make is the one the program speaks to, on both databases."""

import asyncio
import contextlib
import multiprocessing
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, inspect

from entrepot.metadata import (
    CommitNotDurable,
    Database,
    EncodingUnsuitable,
    SchemaMissing,
    SchemaNewer,
    SchemaOlder,
    ServerTooOld,
    enqueue,
    open_database,
    schema,
)
from entrepot.metadata.postgresql_connection import raise_unsuitable
from entrepot.metadata.tables import DEFAULT_STORE, EVERY_PROJECT, metadata, projects, stores, versions
from entrepot.oci import Unavailable
from entrepot.testing.database import add_project, has_project
from harness.postgresql import PostgresqlServer

PROCESSES = 4
OWNER_ONLY = 0o600

NewDatabase = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> NewDatabase:
    """Gives URLs of databases that are there, or may be made, and have no schema."""
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        return server.fresh_database
    numbers = iter(range(10))
    return lambda: f"sqlite:///{tmp_path / f'{next(numbers)}.db'}"


def engine_of(url: str) -> Engine:
    """An engine of SQLAlchemy's own, without any of ours between."""
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def shape_of(url: str) -> dict[str, Any]:
    """Everything that the database tells of its tables, in a form that compares."""
    engine = engine_of(url)
    try:
        inspector = inspect(engine)
        shape = {
            name: {
                "columns": {
                    column["name"]: {**column, "type": repr(column["type"])} for column in inspector.get_columns(name)
                },
                "primary key": inspector.get_pk_constraint(name),
                "foreign keys": by_name(inspector.get_foreign_keys(name)),
                "unique": by_name(inspector.get_unique_constraints(name)),
                "checks": by_name(inspector.get_check_constraints(name)),
                "indexes": {
                    index["name"]: {**index, "dialect_options": texts_of(index.get("dialect_options"))}
                    for index in inspector.get_indexes(name)
                },
            }
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }
    finally:
        engine.dispose()
    return shape


def by_name(constraints: Any) -> dict[str, Any]:
    """Constraints by their names."""
    return {constraint["name"]: constraint for constraint in constraints}


def texts_of(options: Any) -> dict[str, str]:
    """Options of an index, expressions as their text."""
    return {name: str(value) for name, value in (options or {}).items()}


def set_revision(url: str, revision: str) -> None:
    """Say that the database is at another revision."""
    statement = f"UPDATE alembic_version SET version_num = '{revision}'"  # ruff: ignore[hardcoded-sql-expression]  ours
    if url.startswith("sqlite:///"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)
    else:
        with psycopg.connect(url) as server:
            server.execute(statement.encode())


def test_the_migrations_make_the_tables(new_database: NewDatabase) -> None:
    """Tables, columns, collations, keys, checks and indexes are those of ``tables.py``, by name and content."""
    migrated, made = new_database(), new_database()
    schema.upgrade(migrated)
    engine = engine_of(made)
    metadata.create_all(engine)
    engine.dispose()

    assert shape_of(migrated) == shape_of(made)
    assert set(shape_of(migrated)) == set(metadata.tables)


def test_a_fresh_schema_is_sound(new_database: NewDatabase) -> None:
    """``check`` finds nothing but what the tests' server has switched off for speed."""
    url = new_database()
    schema.upgrade(url)

    problems = schema.check(url)

    switched_off = [f"the server's setting {name} is off" for name in ("fsync", "full_page_writes")]
    assert [problem.partition(":")[0] for problem in problems] == (switched_off if url.startswith("postgresql") else [])


async def test_the_fixed_rows_are_there(new_database: NewDatabase) -> None:
    """Versions, ``*`` and the first store have row 1, and further rows are numbered from 2."""
    url = new_database()
    schema.upgrade(url)
    database = open_database(url)
    try:
        rows = await database.read(
            lambda tx: [tuple(tx.execute(table.select()).one()) for table in (versions, stores, projects)]
        )
        second = await database.write(lambda tx: add_project(tx, "second"))
    finally:
        await database.close()

    assert rows[0] == (1, 1, 1)
    assert rows[1] == (DEFAULT_STORE, "default")
    number, _, name, _, created_at, _ = rows[2]
    assert (number, name) == (EVERY_PROJECT, "*")
    assert abs(datetime.now(UTC) - created_at) < timedelta(hours=1)
    assert second == EVERY_PROJECT + 1


def test_upgrading_twice_changes_nothing(new_database: NewDatabase) -> None:
    """An upgrade of what is up to date leaves it alone."""
    url = new_database()
    assert schema.current(url) is None
    schema.upgrade(url)
    before = shape_of(url)

    schema.upgrade(url)

    assert shape_of(url) == before
    assert schema.current(url) == schema.head()


def test_processes_may_upgrade_at_once(new_database: NewDatabase) -> None:
    """Of several processes that upgrade a new database together one works, and none fails."""
    url = new_database()
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(schema.upgrade, [url] * PROCESSES, timeout=60))

    assert schema.current(url) == schema.head()
    assert not [problem for problem in schema.check(url) if "missing" in problem or "differs" in problem]


def test_an_upgrade_that_fails_leaves_nothing(new_database: NewDatabase) -> None:
    """A table in the way stops the upgrade, and none of the others is made."""
    url = new_database()
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE upload_objects (id INTEGER)")
    engine.dispose()

    with pytest.raises(Exception, match="upload_objects"):
        schema.upgrade(url)

    assert set(shape_of(url)) == {"upload_objects"}
    assert schema.current(url) is None


def test_a_database_without_schema_is_refused(new_database: NewDatabase) -> None:
    """The refusal says which command makes one."""
    with pytest.raises(SchemaMissing, match="entrepot db upgrade") as refusal:
        open_database(new_database())

    assert refusal.value.detail == {"found": None, "wanted": schema.head()}


def test_a_newer_schema_is_refused(new_database: NewDatabase) -> None:
    """A schema of a later program is neither opened, nor checked, nor upgraded."""
    url = new_database()
    schema.upgrade(url)
    set_revision(url, "9999")

    for use in (open_database, schema.check, schema.upgrade):
        with pytest.raises(SchemaNewer, match="newer than this program") as refusal:
            use(url)
        assert refusal.value.detail == {"found": "9999", "wanted": schema.head()}


def test_an_older_schema_is_refused(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with a later revision refuses this one's schema and names the command (its head is moved on here)."""
    url = new_database()
    schema.upgrade(url)
    monkeypatch.setattr(schema, "head", lambda: "9999")

    with pytest.raises(SchemaOlder, match="entrepot db upgrade"):
        open_database(url)


async def test_rows_of_the_first_schema_are_kept(new_database: NewDatabase) -> None:
    """A database of the first revision is refused, then upgraded: what was in it is there, and jobs can be enqueued."""
    url = new_database()
    upgrade_to(url, "0001")
    assert schema.current(url) == "0001"
    assert "jobs" not in shape_of(url)
    with pytest.raises(SchemaOlder):
        open_database(url)
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(projects.insert().values(uid="u", name="kept", created_at=datetime.now(UTC)))
    engine.dispose()

    schema.upgrade(url)

    database = open_database(url)
    try:
        assert await database.read(lambda tx: has_project(tx, "kept"))
        assert await database.write(lambda tx: enqueue(tx, "work")) == (1, True)
    finally:
        await database.close()


def upgrade_to(url: str, revision: str) -> None:
    """Bring a database to an earlier revision than the newest, as an earlier program did."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    engine = engine_of(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_check_finds_a_missing_row(new_database: NewDatabase) -> None:
    """A fixed row that is gone is named."""
    url = new_database()
    schema.upgrade(url)
    delete_versions(url)

    assert "row 1 of versions is missing" in schema.check(url)


async def test_missing_versions_are_no_answer(new_database: NewDatabase) -> None:
    """Without the row of versions a pull is refused with Unavailable, not answered as if nothing existed."""
    url = new_database()
    schema.upgrade(url)
    delete_versions(url)
    database = open_database(url)

    try:
        with pytest.raises(Unavailable):
            await database.hot.access_version()
        with pytest.raises(Unavailable):
            await database.ping()
    finally:
        await database.close()


def delete_versions(url: str) -> None:
    """Take the row of versions away."""
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(versions.delete())
    engine.dispose()


def test_check_finds_a_changed_schema(new_database: NewDatabase) -> None:
    """An index that somebody dropped is named."""
    url = new_database()
    schema.upgrade(url)
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_audit_at")
    engine.dispose()

    assert any("ix_audit_at" in problem for problem in schema.check(url))


def test_check_finds_damage_in_a_file(tmp_path: Path) -> None:
    """A row whose parent is gone, and a page that was overwritten, are found."""
    path = tmp_path / "entrepot.db"
    url = f"sqlite:///{path}"
    schema.upgrade(url)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO tags SELECT 5, 'orphan', 6, 1, 0, 0, NULL")
    assert any("tags" in problem for problem in schema.check(url))

    content = bytearray(path.read_bytes())
    content[-8192:-4096] = b"\xa5" * 4096
    path.write_bytes(content)

    try:
        problems = schema.check(url)
    except Unavailable as error:
        problems = [str(error.detail["reason"])]
    assert any("damaged" in problem for problem in problems)


def test_a_new_file_is_its_owners(tmp_path: Path) -> None:
    """The file that an upgrade makes can be read by its owner only, and so can its log."""
    path = tmp_path / "entrepot.db"
    schema.upgrade(f"sqlite:///{path}")
    database = open_database(f"sqlite:///{path}")

    modes = asyncio.run(file_modes(database, path))

    assert modes == dict.fromkeys(("entrepot.db", "entrepot.db-shm", "entrepot.db-wal"), OWNER_ONLY)


async def file_modes(database: Database, path: Path) -> dict[str, int]:
    """The permissions of the database's files while it is written to."""
    await database.write(lambda tx: add_project(tx, "one"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob("entrepot.db*")}
    await database.close()
    return modes


@pytest.mark.parametrize("use", [schema.upgrade, open_database, schema.current])
def test_a_folder_that_is_not_there(use: Callable[[str], object], tmp_path: Path) -> None:
    """A file in a missing folder is not made, and ``current`` says None."""
    url = f"sqlite:///{tmp_path / 'missing' / 'entrepot.db'}"
    if use is schema.current:
        assert use(url) is None
    else:
        with pytest.raises((Unavailable, SchemaMissing)):
            use(url)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_answers_too_early_is_refused(postgresql: PostgresqlServer) -> None:
    """``synchronous_commit=off``, wherever it was set, is refused and named; ``local`` is fine."""
    url = postgresql.fresh_database()
    schema.upgrade(url)
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())

    with pytest.raises(CommitNotDurable, match="synchronous_commit is off") as refusal:
        open_database(url)
    asyncio.run(open_database(f"{url}?options=-csynchronous_commit%3Dlocal").close())

    assert refusal.value.detail == {"setting": "synchronous_commit", "found": "off"}


def test_another_encoding_is_refused(postgresql: PostgresqlServer) -> None:
    """A database that stores bytes without an encoding gets no schema."""
    url = postgresql.fresh_database()
    name = f"{url.rpartition('/')[2]}_ascii"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0".encode())

    with pytest.raises(EncodingUnsuitable, match="UTF8"):
        schema.upgrade(postgresql.url(name))


def test_an_old_server_is_refused() -> None:
    """PostgreSQL 14 is refused, 15 is not."""
    with pytest.raises(ServerTooOld, match="15 or later"):
        raise_unsuitable(14, "UTF8", "on")
    raise_unsuitable(15, "UTF8", "on")
