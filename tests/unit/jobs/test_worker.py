"""A worker over a real database, with jobs that the test holds in its hands."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from typing_extensions import override

from entrepot.jobs import FailedForGood, JobKind, JobRun, Worker, submit, trim_kind
from entrepot.metadata import (
    Database,
    Job,
    JobState,
    Progress,
    Transaction,
    claim_job,
    enqueue,
    find_job,
    finish_job,
    list_jobs,
    open_database,
    read_job_log,
    request_cancellation,
    upgrade,
)
from entrepot.metadata.job_tables import jobs
from entrepot.metadata.sqlite import SqliteDatabase
from entrepot.oci import Unavailable

T = TypeVar("T")

WAIT = 30.0  # seconds after which a test that hangs fails
SHORT = timedelta(milliseconds=200)
HOUR = timedelta(hours=1)


class Held:
    """A job that says when it has begun and goes on until the test lets it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        self.ended = asyncio.Event()
        self.ended_by: BaseException | None = None
        self.runs = 0

    async def __call__(self, run: JobRun) -> None:
        """Wait for the test."""
        self.runs += 1
        self.begun.set()
        try:
            await self.free.wait()
        except BaseException as error:
            self.ended_by = error
            self.ended.set()
            raise


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database in a fresh file."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    database = open_database(url)
    yield database
    await database.close()


@contextlib.asynccontextmanager
async def working(
    database: Database, *kinds: JobKind, lease: timedelta = HOUR, concurrency: int = 2
) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Run a worker for as long as the block; what it gives stops the worker and waits for its end."""
    stop = asyncio.Event()
    worker = Worker(database, kinds, poll_interval=SHORT / 4, concurrency=concurrency, lease=lease)
    task = asyncio.create_task(worker.run(stop))

    async def stopped() -> None:
        stop.set()
        async with asyncio.timeout(WAIT):
            await task

    try:
        yield stopped
    finally:
        await stopped()


async def add(database: Database, kind: JobKind, **parameters: object) -> int:
    """Queue a job of the kind."""
    number, _ = await database.write(lambda tx: submit(tx, kind, parameters))
    return number


async def job_of(database: Database, number: int) -> Job:
    """The job's row."""
    job = await database.read(lambda tx: find_job(tx, number))
    assert job is not None
    return job


async def until(database: Database, number: int, is_so: Callable[[Job], bool]) -> Job:
    """Wait until the job's row is as it should be."""
    async with asyncio.timeout(WAIT):
        while not is_so(job := await job_of(database, number)):  # ruff: ignore[async-busy-wait]  rows tell nobody
            await asyncio.sleep(0.01)
    return job


async def ended(database: Database, number: int) -> Job:
    """Wait until the job has ended."""
    return await until(database, number, lambda job: job.finished_at is not None)


async def test_a_job_runs_with_its_parameters(database: Database) -> None:
    """A queued job is run with its parameters, and what it says about itself is there when it is done."""

    async def count(run: JobRun) -> None:
        run.log("begun", seen=run.parameters["n"])
        run.progress(1, 2)
        run.warn("odd")
        run.progress(2, 2, "all")
        await asyncio.sleep(0)

    kind = JobKind("count", count)
    number = await add(database, kind, n=5)
    async with working(database, kind):
        job = await ended(database, number)

    assert (job.state, job.attempts, job.progress) == (JobState.DONE, 1, Progress(2, 2, "all"))
    log = await database.read(lambda tx: read_job_log(tx, number))
    assert [(line.level, line.message, line.detail) for line in log] == [
        ("info", "begun", {"seen": 5}),
        ("warning", "odd", {}),
    ]


async def test_progress_is_seen_while_the_job_runs(database: Database) -> None:
    """What a job says is in its row within moments, while it goes on."""
    held = Held()

    async def talk(run: JobRun) -> None:
        run.progress(7)
        await held(run)

    kind = JobKind("talk", talk)
    number = await add(database, kind)
    async with working(database, kind):
        await until(database, number, lambda job: job.progress.done == 7)
        assert (await job_of(database, number)).state is JobState.RUNNING
        held.free.set()
        assert (await ended(database, number)).state is JobState.DONE


async def test_cancellation_ends_a_running_job(database: Database) -> None:
    """A job that is to be cancelled has its task cancelled within seconds, and is cancelled then."""
    held = Held()
    kind = JobKind("held", held)
    number = await add(database, kind)
    async with working(database, kind), asyncio.timeout(WAIT):
        await held.begun.wait()
        await database.write(lambda tx: request_cancellation(tx, number))
        job = await ended(database, number)

    assert job.state is JobState.CANCELLED
    assert isinstance(held.ended_by, asyncio.CancelledError)


async def test_a_stopping_worker_hands_its_jobs_back(database: Database) -> None:
    """A job in progress when its worker stops is ended and queued at once; the next worker begins it anew."""
    held = Held()
    kind = JobKind("held", held, attempts=1)
    number = await add(database, kind)
    async with working(database, kind) as stop, asyncio.timeout(WAIT):
        await held.begun.wait()
        await stop()
    assert isinstance(held.ended_by, asyncio.CancelledError)
    back = await job_of(database, number)
    assert (back.state, back.attempts) == (JobState.QUEUED, 0)

    held.free.set()
    async with working(database, kind):
        assert (await ended(database, number)).state is JobState.DONE
    assert held.runs == 2


async def test_a_lost_lease_ends_the_job_here(database: Database) -> None:
    """A runner whose job was given to another has its task cancelled and changes nothing any more."""
    held = Held()
    kind = JobKind("held", held)
    number = await add(database, kind)
    async with working(database, kind), asyncio.timeout(WAIT):
        await held.begun.wait()

        def taken(tx: Transaction) -> bool:
            tx.execute(jobs.update().values(lease_until=tx.now))
            claim = claim_job(tx, "another", {"held": HOUR})
            return claim is not None and finish_job(tx, claim)

        assert await database.write(taken)
        before = await job_of(database, number)
        await held.ended.wait()

    assert isinstance(held.ended_by, asyncio.CancelledError)
    assert await job_of(database, number) == before
    assert before.state is JobState.DONE


async def test_a_lease_is_kept_while_the_job_runs(database: Database) -> None:
    """A job that takes many times its lease stays with its runner."""
    held = Held()
    kind = JobKind("held", held, lease=timedelta(seconds=2))
    number = await add(database, kind)
    async with working(database, kind), asyncio.timeout(WAIT):
        await held.begun.wait()
        first = (await job_of(database, number)).lease_until
        assert first is not None
        later = await until(database, number, lambda job: (job.lease_until or first) > first + timedelta(seconds=2))
        assert (later.state, later.attempts) == (JobState.RUNNING, 1)
        held.free.set()
        assert (await ended(database, number)).state is JobState.DONE
    assert held.runs == 1


async def test_a_failure_is_tried_again(database: Database) -> None:
    """A job that raises is run again after a pause, and what it raised is kept; it may be done in the end."""

    async def fail_once(run: JobRun) -> None:
        await asyncio.sleep(0)
        if run.attempt == 1:
            raise Unavailable(reason="busy")

    kind = JobKind("fragile", fail_once, retry_after=SHORT)
    number = await add(database, kind)
    async with working(database, kind):
        job = await ended(database, number)

    assert (job.state, job.attempts) == (JobState.DONE, 2)
    assert job.last_error == "Unavailable: the registry cannot answer now; try again later (reason: busy)"


@pytest.mark.parametrize(
    ("error", "attempts", "message"),
    [(RuntimeError("no\nway"), 3, "RuntimeError: no way"), (FailedForGood("never"), 1, "never")],
)
async def test_a_job_that_cannot_be_done_has_failed(
    database: Database, error: Exception, attempts: int, message: str
) -> None:
    """After its attempts a job has failed; at once when it says that no further one can help."""

    async def fail(run: JobRun) -> None:
        await asyncio.sleep(0)
        raise ExceptionGroup("of one", [error]) if attempts > 1 else error

    kind = JobKind("fails", fail, attempts=3, retry_after=timedelta(milliseconds=10))
    number = await add(database, kind)
    async with working(database, kind):
        job = await ended(database, number)

    assert (job.state, job.attempts, job.last_error) == (JobState.FAILED, attempts, message)


async def test_a_job_has_a_time_limit(database: Database) -> None:
    """A job that takes too long is ended and has failed with the limit as its error."""
    held = Held()
    kind = JobKind("held", held, timeout=SHORT, attempts=1)
    number = await add(database, kind)
    async with working(database, kind):
        job = await ended(database, number)

    assert (job.state, job.last_error) == (JobState.FAILED, f"TimeoutError: not done within {SHORT}")
    assert isinstance(held.ended_by, asyncio.CancelledError)


async def test_so_many_at_a_time(database: Database) -> None:
    """A worker runs as many jobs at once as it may, and the next when one has ended."""
    helds = [Held() for _ in range(3)]

    async def one(run: JobRun) -> None:
        await helds[run.parameters["n"]](run)

    kind = JobKind("one", one, singleton=False)
    numbers = [await add(database, kind, n=n) for n in range(3)]
    async with working(database, kind, concurrency=2), asyncio.timeout(WAIT):
        await helds[0].begun.wait()
        await helds[1].begun.wait()
        await asyncio.sleep(SHORT.total_seconds())
        assert not helds[2].begun.is_set()
        helds[0].free.set()
        await helds[2].begun.wait()
        assert (await job_of(database, numbers[0])).state is JobState.DONE
        helds[1].free.set()
        helds[2].free.set()
        for number in numbers:
            assert (await ended(database, number)).state is JobState.DONE


async def test_other_kinds_are_left_alone(database: Database) -> None:
    """A job of a kind that this worker does not know stays for one that does."""
    held = Held()
    other, _ = await database.write(lambda tx: enqueue(tx, "unknown"))
    kind = JobKind("held", held)
    held.free.set()
    number = await add(database, kind)
    async with working(database, kind):
        await ended(database, number)
    assert (await job_of(database, other)).state is JobState.QUEUED


class Failing(SqliteDatabase):
    """A database that does not answer for a while."""

    away = False

    @override
    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Refuse while it is away."""
        if self.away:
            raise Unavailable(reason="unreachable")
        return await super().write(unit)

    @override
    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Refuse while it is away."""
        if self.away:
            raise Unavailable(reason="unreachable")
        return await super().read(unit)


async def test_a_database_that_is_away_for_a_while(tmp_path: Path) -> None:
    """A worker outlives a database that does not answer: it tells a job's end afterwards, and finds the next one."""
    upgrade(f"sqlite:///{tmp_path / 'entrepot.db'}")
    database = Failing(tmp_path / "entrepot.db")
    held = Held()
    kind = JobKind("held", held)
    number = await add(database, kind)
    async with working(database, kind), asyncio.timeout(WAIT):
        await held.begun.wait()
        database.away = True
        held.free.set()
        await asyncio.sleep(SHORT.total_seconds())
        database.away = False
        assert (await ended(database, number)).state is JobState.DONE
        assert (await ended(database, await add(database, kind))).state is JobState.DONE
    await database.close()


async def test_a_runner_that_cannot_be_heard_ends_its_job(tmp_path: Path) -> None:
    """When the lease is over and the database does not answer, the job is ended: another may have begun it."""
    upgrade(f"sqlite:///{tmp_path / 'entrepot.db'}")
    database = Failing(tmp_path / "entrepot.db")
    held = Held()
    kind = JobKind("held", held, lease=SHORT)
    number = await add(database, kind)
    async with working(database, kind), asyncio.timeout(WAIT):
        await held.begun.wait()
        database.away = True
        await held.ended.wait()
        held.begun.clear()
        held.free.set()
        database.away = False
        job = await ended(database, number)
    assert isinstance(held.ended_by, asyncio.CancelledError)
    assert (job.state, job.attempts) == (JobState.DONE, 2)
    await database.close()


async def test_old_jobs_are_forgotten(database: Database) -> None:
    """The kind ``jobs.trim`` forgets what ended before the history begins, and keeps itself."""
    kind = trim_kind(database, HOUR, [])

    def old_one(tx: Transaction) -> int:
        number, _ = enqueue(tx, "work")
        claim = claim_job(tx, "runner", {"work": HOUR})
        assert claim is not None
        finish_job(tx, claim)
        tx.execute(jobs.update().values(finished_at=tx.now - 2 * HOUR))
        return number

    old = await database.write(old_one)
    number = await add(database, kind)
    async with working(database, kind):
        job = await ended(database, number)

    assert (job.state, job.progress.done) == (JobState.DONE, 1)
    assert await database.read(lambda tx: find_job(tx, old)) is None
    assert [one.id for one in await database.read(lambda tx: list_jobs(tx, 10))] == [number]
