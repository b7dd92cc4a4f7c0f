"""SQLite in trouble: other processes, kill -9, full disks, and files that are taken away."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from entrepot.metadata import ForeignKeyViolation, SchemaMissing, Transaction, open_database, schema
from entrepot.metadata.sqlite import SqliteDatabase
from entrepot.metadata.tables import projects
from entrepot.oci import RegistryError, StorageFull, Unavailable
from entrepot.testing.database import add_project, has_project, project_names

WAIT = 30  # seconds after which a test that hangs fails
PROCESSES = 3
UNITS = 300
KILLED_AFTER = 400  # acknowledged units

# Writes its units with 32 callers at once and says which are acknowledged, line by line.
WRITER = """
import asyncio, os, sys
from entrepot.metadata import open_database
from entrepot.testing.database import add_project

async def main(url, prefix, units):
    database = open_database(url)
    async def caller(first):
        for number in range(first, units, 32):
            name = f"{prefix}-{number}"
            await database.write(lambda tx: add_project(tx, name))
            os.write(1, f"{name}\\n".encode())
    await asyncio.gather(*map(caller, range(32)))
    await database.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database file with the schema."""
    path = tmp_path / "entrepot.db"
    schema.upgrade(url_of(path))
    return path


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    """That file opened, with little patience for other writers."""
    database = SqliteDatabase(path, lock_patience=0.3)
    yield database
    await database.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; the test fails where it may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True, timeout=WAIT)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=WAIT)


def url_of(path: Path) -> str:
    """The file's address."""
    return f"sqlite:///{path}"


def start_writer(path: Path, prefix: str, units: int) -> subprocess.Popen[str]:
    """Another process that writes to the file."""
    command = [sys.executable, "-c", WRITER, url_of(path), prefix, str(units)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_several_processes_write(path: Path) -> None:
    """Processes that write to one file at once get all their units in, without an error."""
    writers = [start_writer(path, f"p{number}", UNITS) for number in range(PROCESSES)]
    answers = [await asyncio.to_thread(writer.communicate, timeout=WAIT) for writer in writers]

    acknowledged = {name for output, _ in answers for name in output.split()}
    assert [writer.returncode for writer in writers] == [0] * PROCESSES
    database = open_database(url_of(path))
    assert set(await database.read(project_names)) == acknowledged
    assert len(acknowledged) == PROCESSES * UNITS
    await database.close()


async def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    """After kill -9 in the midst of writing, every acknowledged unit is there and the file is sound."""
    writer = start_writer(path, "k", 1_000_000)
    assert writer.stdout is not None
    heard = [writer.stdout.readline() for _ in range(KILLED_AFTER)]
    writer.send_signal(signal.SIGKILL)
    rest, _ = await asyncio.to_thread(writer.communicate, timeout=WAIT)
    acknowledged = {line.strip() for line in [*heard, *rest.splitlines(keepends=True)] if line.endswith("\n")}

    database = open_database(url_of(path))
    stored = set(await database.read(project_names))
    await database.close()

    assert len(acknowledged) >= KILLED_AFTER
    assert acknowledged <= stored
    assert schema.check(url_of(path)) == []


async def test_a_writer_that_keeps_the_lock(path: Path, database: SqliteDatabase) -> None:
    """While another process holds the lock, units are refused in time and pulls and reads go on; then all is well."""
    await database.hot.access_version()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(WAIT):
            answers = await asyncio.gather(
                *(database.write(lambda tx: add_project(tx, "refused")) for _ in range(5)), return_exceptions=True
            )
            assert await database.hot.access_version() == 1
            assert await database.read(project_names) == []
        other.execute("COMMIT")

    assert [error.detail for error in answers if isinstance(error, Unavailable)] == [{"reason": "busy"}] * 5
    await database.write(lambda tx: add_project(tx, "taken"))
    assert await database.read(project_names) == ["taken"]


async def test_a_short_wait_for_the_lock_is_no_error(path: Path, database: SqliteDatabase) -> None:
    """A unit waits for another process's transaction."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.1, other.execute, ["COMMIT"])
        release.start()
        await database.write(lambda tx: add_project(tx, "one"))
        release.join(WAIT)

    assert await database.read(project_names) == ["one"]


async def test_a_batch_that_cannot_commit_is_run_one_by_one(database: SqliteDatabase) -> None:
    """A unit whose fault shows only at the commit fails alone; those that shared its commit are run again."""
    gate, reached = threading.Event(), threading.Event()
    runs: list[str] = []

    def block(tx: Transaction) -> None:
        reached.set()
        gate.wait(WAIT)

    def good(tx: Transaction) -> None:
        runs.append("good")
        add_project(tx, "good")

    def bad(tx: Transaction) -> None:
        tx.execute(text("PRAGMA defer_foreign_keys=ON"))
        add_project(tx, "bad")
        tx.execute(text("INSERT INTO blob_objects VALUES (4711, 0, 1, 'key', 1)"))

    blocking = asyncio.create_task(database.write(block))
    assert await asyncio.to_thread(reached.wait, WAIT)
    batch = [asyncio.create_task(database.write(unit)) for unit in (good, bad)]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*batch, return_exceptions=True)
    await blocking

    assert answers[0] is None
    assert isinstance(answers[1], ForeignKeyViolation)
    assert runs == ["good", "good"]
    assert await database.read(project_names) == ["good"]
    await database.write(lambda tx: add_project(tx, "later"))


async def test_a_result_that_got_out_blocks_nobody_for_long(path: Path) -> None:
    """A unit that lets an unread result out holds its snapshot; the connection is replaced once others had to wait."""
    database = SqliteDatabase(path, lock_patience=0.3)
    leaked = await database.write(lambda tx: tx.execute(text("SELECT 1 UNION ALL SELECT id FROM projects")))
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE versions SET access_version = 2")

    with contextlib.suppress(Unavailable):
        await database.write(lambda tx: add_project(tx, "one"))
    await database.write(lambda tx: add_project(tx, "two"))

    assert await database.read(lambda tx: has_project(tx, "two"))
    leaked.close()
    await database.close()


async def test_a_full_disk(small_disk: Path) -> None:
    """A full disk refuses units with StorageFull, keeps what was acknowledged, and writes again once there is room."""
    path, ballast = small_disk / "entrepot.db", small_disk / "ballast"
    schema.upgrade(url_of(path))
    database = SqliteDatabase(path)
    await database.write(lambda tx: add_project(tx, "kept"))
    with contextlib.suppress(OSError):
        ballast.write_bytes(b"x" * 8 * 1024 * 1024)

    kept, refusal = await fill(database)

    assert isinstance(refusal, StorageFull)
    assert await database.hot.access_version() == 1
    assert set(await database.read(project_names)) == {"kept", *kept}
    ballast.unlink()
    await database.write(lambda tx: add_project(tx, "later"))
    await database.close()
    assert schema.check(url_of(path)) == []


async def fill(database: SqliteDatabase) -> tuple[list[str], RegistryError]:
    """Write units until one is refused; the names of those acknowledged, and the refusal."""
    kept: list[str] = []
    while True:
        name = f"{len(kept)}-{'x' * 4000}"
        try:
            await database.write(lambda tx, name=name: add_project(tx, name))  # type: ignore[misc]
        except RegistryError as refusal:
            return kept, refusal
        kept.append(name)


async def test_a_disk_that_turns_read_only(small_disk: Path) -> None:
    """On a read-only file system units are refused as Unavailable."""
    path = small_disk / "entrepot.db"
    schema.upgrade(url_of(path))
    make_read_only(small_disk)
    database = SqliteDatabase(path)

    with pytest.raises(Unavailable):
        await database.write(lambda tx: add_project(tx, "one"))

    await database.close()


def make_read_only(disk: Path) -> None:
    """Mount the file system anew for reading only."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, timeout=WAIT)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_taken_away(path: Path, database: SqliteDatabase, replaced: bool) -> None:
    """Nothing is acknowledged into a file that was removed or replaced, and readiness says so."""
    await database.write(lambda tx: add_project(tx, "one"))
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    path.unlink()
    if replaced:
        Path(copy).rename(path)

    with pytest.raises(Unavailable) as refusal:
        await database.write(lambda tx: add_project(tx, "two"))
    with pytest.raises(Unavailable):
        await database.ping()

    assert refusal.value.detail == {"reason": "moved" if replaced else "unreachable"}


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Another file under the name is refused, and left as it was."""
    path = tmp_path / "entrepot.db"
    path.write_bytes(b"not a database" * 1000)

    for use in (open_database, schema.upgrade, schema.check, schema.current):
        with pytest.raises(Unavailable) as refusal:
            use(url_of(path))
        assert refusal.value.detail == {"reason": "damaged"}

    assert path.read_bytes() == b"not a database" * 1000


def test_an_empty_file_has_no_schema(tmp_path: Path) -> None:
    """An empty file is a database without schema."""
    path = tmp_path / "entrepot.db"
    path.touch()

    with pytest.raises(SchemaMissing):
        open_database(url_of(path))


async def test_the_log_of_a_killed_writer_is_mended(path: Path) -> None:
    """A pull is answered also where the last process died without folding its log into the file."""
    writer = start_writer(path, "k", 1_000_000)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.communicate(timeout=WAIT)
    path.with_name("entrepot.db-shm").unlink(missing_ok=True)

    database = open_database(url_of(path))
    assert await database.hot.access_version() == 1
    assert await database.read(lambda tx: tx.execute(select(func.count()).select_from(projects)).scalar_one()) > 1
    await database.close()
