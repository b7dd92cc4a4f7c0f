"""PostgreSQL in trouble: restarts, silence, deadlocks, lost connections, and commits that nobody can vouch for."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psycopg
import pytest
from sqlalchemy import select, text, update

from entrepot.metadata import Transaction, UniqueViolation, open_database, schema
from entrepot.metadata.postgresql import PostgresqlDatabase
from entrepot.metadata.tables import projects
from entrepot.oci import Unavailable
from entrepot.testing.database import add_project, has_project, project_names
from harness.cluster import Cluster, running_cluster
from harness.postgresql import PostgresqlServer

WAIT = 30  # seconds after which a test that hangs fails
PATIENCE = 1.0  # seconds that the pull path waits in these tests


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server for this module alone, with the schema."""
    with running_cluster() as cluster:
        schema.upgrade(cluster.url)
        yield cluster


@pytest.fixture
async def troubled(cluster: Cluster) -> AsyncIterator[PostgresqlDatabase]:
    """A database on that server, all of its connections in use before."""
    delete_projects(cluster.url)
    database = PostgresqlDatabase(cluster.url, connections=4, patience=PATIENCE)
    await asyncio.gather(*(database.hot.access_version() for _ in range(8)))
    await asyncio.gather(*(database.write(project_names) for _ in range(8)))
    yield database
    await database.close()


@pytest.fixture
async def database(postgresql: PostgresqlServer) -> AsyncIterator[PostgresqlDatabase]:
    """A database on the tests' common server."""
    url = postgresql.fresh_database()
    schema.upgrade(url)
    database = PostgresqlDatabase(url, patience=PATIENCE)
    yield database
    await database.close()


def adding(name: str) -> Callable[[Transaction], int]:
    """A unit that adds a project."""
    return lambda tx: add_project(tx, name)


def delete_projects(url: str) -> None:
    """Leave no project but ``*``."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM projects WHERE id <> 1")


async def test_a_restart_goes_unnoticed(cluster: Cluster, troubled: PostgresqlDatabase) -> None:
    """After the server restarted under idle connections, pulls, reads and units work at the first attempt."""
    cluster.stop()
    cluster.start()

    async with asyncio.timeout(WAIT):
        assert await asyncio.gather(*(troubled.hot.access_version() for _ in range(8))) == [1] * 8
        await asyncio.gather(*(troubled.read(project_names) for _ in range(8)))
        await asyncio.gather(*(troubled.write(adding(f"{number}")) for number in range(8)))
        assert len(await troubled.read(project_names)) == 8
        await troubled.ping()


async def test_a_stopped_server_is_unavailable(cluster: Cluster, troubled: PostgresqlDatabase) -> None:
    """While the server is down everything is refused as Unavailable, soon; once it is up again everything works."""
    cluster.stop("immediate")
    uses: list[Callable[[], Awaitable[object]]] = [
        troubled.hot.access_version,
        lambda: troubled.read(project_names),
        lambda: troubled.write(project_names),
        troubled.ping,
    ]
    async with asyncio.timeout(WAIT):
        for use in uses:
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await use()
    with pytest.raises(Unavailable):
        open_database(cluster.url)
    cluster.start()

    async with asyncio.timeout(WAIT):
        await troubled.ping()
        await troubled.write(lambda tx: add_project(tx, "one"))


async def test_a_silent_server_is_unavailable(cluster: Cluster, troubled: PostgresqlDatabase) -> None:
    """A server that stands still makes a pull wait for its patience, no longer; afterwards pulls work again."""
    began = time.monotonic()
    with cluster.frozen():
        answers = await asyncio.gather(*(troubled.hot.access_version() for _ in range(8)), return_exceptions=True)
        waited = time.monotonic() - began

    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert waited < 10
    async with asyncio.timeout(WAIT):
        assert await troubled.hot.access_version() == 1


async def test_a_caller_may_leave_a_silent_server(cluster: Cluster, troubled: PostgresqlDatabase) -> None:
    """A cancelled pull ends within the patience although the driver waits for the server once more."""
    with cluster.frozen():
        leaving = asyncio.create_task(troubled.hot.access_version())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaving.cancel()
        done, _ = await asyncio.wait([leaving], timeout=WAIT)

    assert done == {leaving}
    async with asyncio.timeout(WAIT):
        assert await troubled.hot.access_version() == 1


async def test_closing_does_not_wait_for_a_silent_server(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing cuts off what a silent server holds, so that the process can end (the patience is shortened here)."""
    monkeypatch.setattr("entrepot.metadata.postgresql.CLOSING_PATIENCE", 0.2)
    database = PostgresqlDatabase(cluster.url, connections=1, patience=PATIENCE)
    await database.write(project_names)
    with cluster.frozen():
        held = asyncio.create_task(database.write(project_names))
        await asyncio.sleep(0)
        await database.close()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(held, WAIT)


async def test_a_deadlock_is_run_again(database: PostgresqlDatabase) -> None:
    """Of two units that lock the same rows the other way round, both are done in the end."""
    for name in ("a", "b"):
        await database.write(adding(name))
    both_hold_one = threading.Barrier(2, timeout=WAIT)
    runs: list[str] = []

    def locking(first: str, second: str) -> Callable[[Transaction], None]:
        def unit(tx: Transaction) -> None:
            runs.append(first)
            touch(tx, first)
            if runs.count(first) == 1:
                both_hold_one.wait()
            touch(tx, second)

        return unit

    async with asyncio.timeout(WAIT):
        await asyncio.gather(database.write(locking("a", "b")), database.write(locking("b", "a")))

    assert len(runs) == 3


def touch(tx: Transaction, name: str) -> None:
    """Change a project's row."""
    tx.execute(update(projects).where(projects.c.name == name).values(uid=projects.c.uid + "x"))


async def test_a_unit_whose_connection_is_lost_is_run_again(database: PostgresqlDatabase) -> None:
    """A connection that ends before the commit costs the caller nothing, and the unit is stored once."""
    runs: list[int] = []

    def unit(tx: Transaction) -> None:
        runs.append(add_project(tx, "one"))
        if len(runs) == 1:
            terminate(tx)

    await database.write(unit)

    assert len(runs) == 2
    assert await database.read(project_names) == ["one"]


async def test_a_unit_that_loses_every_connection_is_refused(database: PostgresqlDatabase) -> None:
    """A connection lost twice ends in Unavailable, with nothing stored."""
    runs: list[int] = []

    def unit(tx: Transaction) -> None:
        runs.append(add_project(tx, "one"))
        terminate(tx)

    with pytest.raises(Unavailable) as refusal:
        await database.write(unit)

    assert refusal.value.detail == {"reason": "unreachable"}
    assert len(runs) == 2
    assert await database.read(project_names) == []


def terminate(tx: Transaction) -> None:
    """Let the server end the unit's own connection."""
    tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_an_unconfirmed_commit_is_not_acknowledged(
    cluster: Cluster, troubled: PostgresqlDatabase, end: str
) -> None:
    """A commit that waits for a stand-by and is cut short is answered with Unavailable, and not run again.

    The server itself calls the first kind a success, with a warning.
    """
    runs: list[int] = []
    with psycopg.connect(cluster.url, autocommit=True) as other:
        other.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        other.execute("SELECT pg_reload_conf()")
        await asyncio.to_thread(reloaded, other, "nobody")
        try:
            writing = asyncio.create_task(troubled.write(lambda tx: runs.append(add_project(tx, "one"))))
            await asyncio.to_thread(cut_short, other, end)
            with pytest.raises(Unavailable) as refusal:
                await asyncio.wait_for(writing, WAIT)
        finally:
            other.execute("ALTER SYSTEM RESET synchronous_standby_names")
            other.execute("SELECT pg_reload_conf()")

    assert refusal.value.detail == {"reason": "outcome-unknown"}
    assert len(runs) == 1
    await troubled.write(lambda tx: add_project(tx, "two"))


def reloaded(other: psycopg.Connection[tuple[object, ...]], standby: str) -> None:
    """Wait until the server has read its settings anew; its checkpointer tells the others of stand-bys."""
    deadline = time.monotonic() + WAIT
    while other.execute("SHOW synchronous_standby_names").fetchone() != (standby,):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    other.execute("CHECKPOINT")


def cut_short(other: psycopg.Connection[tuple[object, ...]], end: str) -> None:
    """Wait for a commit that waits for a stand-by, and end that."""
    deadline = time.monotonic() + WAIT
    query = f"SELECT {end}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"  # ruff: ignore[hardcoded-sql-expression]  ours
    while other.execute(query.encode()).fetchone() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_row_lock_is_waited_for_with_patience(database: PostgresqlDatabase) -> None:
    """What others keep locked is Unavailable in time: the session's limits are set (and read back here)."""
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "TimeZone")
    settings = await database.write(lambda tx: [tx.execute(text(f"SHOW {name}")).scalar_one() for name in names])

    assert settings == ["10s", "20s", "1min", "UTC"]


async def test_a_unit_that_runs_too_long_is_ended(database: PostgresqlDatabase) -> None:
    """A statement over its limit is ended by the server and refused as Unavailable; the unit leaves nothing."""

    def unit(tx: Transaction) -> None:
        add_project(tx, "one")
        tx.execute(text("SET LOCAL statement_timeout = '50ms'"))
        tx.execute(text("SELECT pg_sleep(20)"))

    with pytest.raises(Unavailable) as refusal:
        await database.write(unit)

    assert refusal.value.detail == {"reason": "timeout"}
    assert await database.read(project_names) == []


async def test_a_kept_row_lock_is_refused_in_time(database: PostgresqlDatabase) -> None:
    """A unit that cannot lock its row within the limit is refused as Unavailable."""
    held, release = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        touch(tx, "*")
        held.set()
        release.wait(WAIT)

    def wait(tx: Transaction) -> None:
        tx.execute(text("SET LOCAL lock_timeout = '50ms'"))
        touch(tx, "*")

    holding = asyncio.create_task(database.write(hold))
    assert await asyncio.to_thread(held.wait, WAIT)
    try:
        with pytest.raises(Unavailable) as refusal:
            await database.write(wait)
    finally:
        release.set()
        await holding

    assert refusal.value.detail == {"reason": "busy"}


async def test_locks_are_real(database: PostgresqlDatabase) -> None:
    """``for_update`` that skips sees no row another unit holds; ``key_share`` lets a row be changed but not deleted."""
    held, release = threading.Event(), threading.Event()
    row = select(projects.c.name).where(projects.c.name == "kept")
    await database.write(lambda tx: add_project(tx, "kept"))

    def hold(tx: Transaction) -> None:
        tx.execute(tx.dialect.key_share(row)).one()
        held.set()
        release.wait(WAIT)

    def remove(tx: Transaction) -> None:
        tx.execute(text("SET LOCAL lock_timeout = '50ms'"))
        tx.execute(projects.delete().where(projects.c.name == "kept"))

    holding = asyncio.create_task(database.write(hold))
    assert await asyncio.to_thread(held.wait, WAIT)
    try:
        with pytest.raises(Unavailable):
            await database.write(remove)
        skipped = await database.write(lambda tx: tx.execute(tx.dialect.for_update(row, skip_locked=True)).all())
        await database.write(lambda tx: tx.execute(update(projects).values(created_at=tx.now)).rowcount)
    finally:
        release.set()
        await holding

    assert skipped == []
    assert await database.read(lambda tx: has_project(tx, "kept"))


async def test_a_stand_by_refuses_units(database: PostgresqlDatabase) -> None:
    """A server that only reads, as after a switch to its stand-by, makes units Unavailable."""

    def unit(tx: Transaction) -> None:
        tx.execute(text("SET TRANSACTION READ ONLY"))
        add_project(tx, "one")

    with pytest.raises(Unavailable) as refusal:
        await database.write(unit)

    assert refusal.value.detail == {"reason": "read-only"}


async def test_violations_tell_their_constraint(database: PostgresqlDatabase) -> None:
    """A violation carries the constraint's name, for logs, and none of the row's values."""
    with pytest.raises(UniqueViolation) as violation:
        await database.write(lambda tx: add_project(tx, "*"))

    assert violation.value.constraint == "uq_projects_name"
    assert "*" not in str(violation.value)
