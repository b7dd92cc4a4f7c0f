"""The contract of the queue of jobs over a ``Database``, as a suite that an adapter's tests subclass.

A subclass gives a fixture ``database``: open, its schema as ``entrepot db upgrade`` makes it, and fresh for each test.
The tests are coroutines: run them with pytest-asyncio in auto mode.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update

from entrepot.metadata import (
    LOG_LINES_KEPT,
    Claim,
    Database,
    Job,
    JobLine,
    JobState,
    Progress,
    Schedule,
    Standing,
    Transaction,
    advance_schedule,
    cancel_job,
    claim_job,
    count_jobs,
    due_schedules,
    enqueue,
    extend_claim,
    fail_job,
    find_job,
    find_schedule,
    finish_job,
    hand_back_job,
    list_jobs,
    list_schedules,
    look_at_claim,
    read_job_log,
    record_progress,
    remove_schedule,
    request_cancellation,
    set_schedule,
    trim_jobs,
    trim_runs,
    work_is_waiting,
)
from entrepot.metadata.job_tables import job_log, jobs

HOUR = timedelta(hours=1)
AT_ONCE = timedelta()
OVER = -timedelta(seconds=1)
"""A lease that was over before it began: what is left by a runner that died."""


async def claim(database: Database, runner: str = "a", lease: timedelta = HOUR, *kinds: str) -> Claim | None:
    """Claim a job of ``kinds``, or of the kind ``work``."""
    return await database.write(lambda tx: claim_job(tx, runner, dict.fromkeys(kinds or ("work",), lease)))


async def claimed(database: Database, runner: str = "a", lease: timedelta = HOUR) -> Claim:
    """Claim a job that must be there."""
    found = await claim(database, runner, lease)
    assert found is not None
    return found


async def add(database: Database, kind: str = "work", **options: Any) -> int:
    """Enqueue a job; returns its number."""
    number, _ = await database.write(lambda tx: enqueue(tx, kind, **options))
    return number


async def job_of(database: Database, number: int) -> Job:
    """The job's row, which must be there."""
    job = await database.read(lambda tx: find_job(tx, number))
    assert job is not None
    return job


async def messages_of(database: Database, number: int) -> list[str]:
    """What the job's log says."""
    return [line.message for line in await database.read(lambda tx: read_job_log(tx, number))]


def endings(claimed_by: Claim) -> dict[str, Callable[[Transaction], object]]:
    """Everything that only the holder of a claim may write."""
    return {
        "finish": lambda tx: finish_job(tx, claimed_by),
        "fail": lambda tx: fail_job(tx, claimed_by, "no", retry_after=AT_ONCE),
        "cancel": lambda tx: cancel_job(tx, claimed_by),
        "hand back": lambda tx: hand_back_job(tx, claimed_by),
        "progress": lambda tx: record_progress(tx, claimed_by, Progress(9), [JobLine("late")]),
        "extend": lambda tx: extend_claim(tx, claimed_by, HOUR) is not Standing.LOST,
        "look": lambda tx: look_at_claim(tx, claimed_by) is not Standing.LOST,
    }


class JobQueueContract:
    """What the queue does on every database."""

    async def test_a_job_is_done_once(self, database: Database) -> None:
        """A job that was enqueued with parameters is claimed by one runner, and is done when that says so."""
        number = await add(database, parameters={"name": "ä", "n": 1})
        assert (await job_of(database, number)).state is JobState.QUEUED

        mine = await claimed(database)
        assert (mine.job_id, mine.parameters, mine.attempt) == (number, {"name": "ä", "n": 1}, 1)
        assert await claim(database, "b") is None
        running = await job_of(database, number)
        assert (running.state, running.runner, running.attempts) == (JobState.RUNNING, "a", 1)
        assert running.started_at is not None
        assert running.lease_until == running.started_at + HOUR

        assert await database.write(lambda tx: finish_job(tx, mine))
        done = await job_of(database, number)
        assert (done.state, done.runner, done.lease_until) == (JobState.DONE, None, None)
        assert done.finished_at is not None
        assert await claim(database, "b") is None

    async def test_a_job_belongs_to_its_transaction(self, database: Database) -> None:
        """A job of a unit that fails was never there."""

        def failing(tx: Transaction) -> None:
            enqueue(tx, "work")
            raise KeyError

        with contextlib.suppress(KeyError):
            await database.write(failing)
        assert await claim(database) is None

    async def test_runners_at_once_get_different_jobs(self, database: Database) -> None:
        """Of many claims at once each gets a job of its own, and none is given twice."""
        numbers = {await add(database) for _ in range(10)}
        found = await asyncio.gather(*[claim(database, f"runner-{index}") for index in range(20)])
        taken = [one.job_id for one in found if one is not None]
        if len(taken) < len(numbers):  # a claim leaves out what another is about to take
            taken += [one.job_id for _ in numbers if (one := await claim(database, "late")) is not None]
        assert sorted(taken) == sorted(numbers)

    async def test_the_order_and_the_kinds(self, database: Database) -> None:
        """What is due the longest comes first; other kinds, and what is not due yet, are left alone."""
        later = await add(database, delay=-timedelta(minutes=1))
        first = await add(database, delay=-timedelta(minutes=2))
        await add(database, delay=HOUR)
        other = await add(database, "other")

        assert await database.read(lambda tx: work_is_waiting(tx, ["work"]))
        assert [(await claimed(database)).job_id for _ in range(2)] == [first, later]
        assert await claim(database) is None
        assert not await database.read(lambda tx: work_is_waiting(tx, ["work"]))
        found = await claim(database, "a", HOUR, "work", "other")
        assert found is not None
        assert found.job_id == other

    async def test_one_singleton_at_a_time(self, database: Database) -> None:
        """While a job with a key is queued or running, no other with that key is made; afterwards one may be."""

        async def add_one() -> tuple[int, bool]:
            return await database.write(lambda tx: enqueue(tx, "work", singleton="work"))

        at_once = await asyncio.gather(*[add_one() for _ in range(8)])
        first = at_once[0][0]
        assert {number for number, _ in at_once} == {first}
        assert sorted(new for _, new in at_once) == [False] * 7 + [True]
        mine = await claimed(database)
        assert await add_one() == (first, False)

        await database.write(lambda tx: finish_job(tx, mine))

        second, new = await add_one()
        assert new
        assert second != first
        assert (await add(database)) != second  # a job without a key is in nobody's way

    async def test_an_expired_lease_is_given_to_another(self, database: Database) -> None:
        """A job whose runner died is claimed again, and the first runner can write nothing to it any more."""
        number = await add(database)
        dead = await claimed(database, "dead", OVER)
        assert await database.read(lambda tx: work_is_waiting(tx, []))

        alive = await claimed(database, "alive")
        assert (alive.job_id, alive.attempt) == (number, 2)
        before = await job_of(database, number)
        for name, write in endings(dead).items():
            assert not await database.write(write), name
        assert await job_of(database, number) == before
        assert await messages_of(database, number) == ["the runner was not heard of until its lease was over"]
        assert await database.write(lambda tx: finish_job(tx, alive))

    async def test_the_same_runner_must_claim_again(self, database: Database) -> None:
        """A runner that lost a job and got it again writes with its new attempt only."""
        await add(database)
        old = await claimed(database, "a", OVER)
        new = await claimed(database, "a")

        assert not await database.write(lambda tx: finish_job(tx, old))
        assert await database.write(lambda tx: finish_job(tx, new))

    async def test_a_lease_is_kept_by_its_holder(self, database: Database) -> None:
        """A runner that is heard of keeps its job for longer than the first lease, also when that was over already."""
        number = await add(database)
        mine = await claimed(database, "a", OVER)
        assert await database.write(lambda tx: extend_claim(tx, mine, HOUR)) is Standing.HELD
        assert await claim(database, "b") is None
        assert (await job_of(database, number)).runner == "a"

    async def test_a_failed_attempt_is_tried_again(self, database: Database) -> None:
        """A failure queues the job for later while attempts are left, then it has failed; the error is kept."""
        number = await add(database, attempts=2)
        mine = await claimed(database)
        assert await database.write(lambda tx: fail_job(tx, mine, "first", retry_after=HOUR))
        waiting = await job_of(database, number)
        assert (waiting.state, waiting.last_error) == (JobState.QUEUED, "first")
        assert waiting.run_after > waiting.created_at + HOUR / 2
        assert await claim(database) is None
        await self.make_due(database, number)

        mine = await claimed(database)
        assert await database.write(lambda tx: fail_job(tx, mine, "second", retry_after=HOUR))

        failed = await job_of(database, number)
        assert (failed.state, failed.last_error, failed.attempts) == (JobState.FAILED, "second", 2)
        assert await messages_of(database, number) == ["first", "second"]

    async def test_a_failure_for_good(self, database: Database) -> None:
        """A failure that no further attempt can mend ends the job at once."""
        number = await add(database)
        mine = await claimed(database)
        assert await database.write(lambda tx: fail_job(tx, mine, "never", retry_after=None))
        assert (await job_of(database, number)).state is JobState.FAILED

    async def test_a_runner_that_always_dies(self, database: Database) -> None:
        """A job whose every runner dies has failed after its last attempt, instead of killing them for ever."""
        number = await add(database, attempts=2)
        for _ in range(2):
            await claimed(database, "a", OVER)
        assert await claim(database) is None
        job = await job_of(database, number)
        assert (job.state, job.attempts) == (JobState.FAILED, 2)
        assert job.last_error == "the runner was not heard of until its lease was over"

    async def test_handing_back_is_no_attempt(self, database: Database) -> None:
        """A runner that stops gives the job to the next one at once, and all attempts are left."""
        number = await add(database, attempts=1)
        first = await claimed(database, "a")
        assert await database.write(lambda tx: hand_back_job(tx, first))
        assert (await job_of(database, number)).attempts == 0
        second = await claimed(database, "b")
        assert not await database.write(lambda tx: finish_job(tx, first))
        assert await database.write(lambda tx: finish_job(tx, second))

    async def test_cancelling_a_queued_job(self, database: Database) -> None:
        """A queued job is cancelled at once and never runs; a second request changes nothing."""
        number = await add(database)
        job = await database.write(lambda tx: request_cancellation(tx, number))
        assert job is not None
        assert job.state is JobState.CANCELLED
        assert await claim(database) is None
        assert await database.write(lambda tx: request_cancellation(tx, number)) == job
        assert await database.write(lambda tx: request_cancellation(tx, number + 1)) is None

    async def test_cancelling_a_running_job(self, database: Database) -> None:
        """The runner of a job hears that it is to end, and ends it as cancelled; it may also be done just then."""
        for ending, expected in ((cancel_job, JobState.CANCELLED), (finish_job, JobState.DONE)):
            number = await add(database)
            mine = await claimed(database)
            assert await database.read(lambda tx: look_at_claim(tx, mine)) is Standing.HELD  # ruff: ignore[function-uses-loop-variable]  awaited here
            asked = await database.write(lambda tx: request_cancellation(tx, number))  # ruff: ignore[function-uses-loop-variable]  awaited here
            assert asked is not None
            assert asked.state is JobState.RUNNING
            assert await database.read(lambda tx: look_at_claim(tx, mine)) is Standing.CANCELLING  # ruff: ignore[function-uses-loop-variable]  awaited here
            assert await database.write(lambda tx: extend_claim(tx, mine, HOUR)) is Standing.CANCELLING  # ruff: ignore[function-uses-loop-variable]  awaited here
            assert await database.write(lambda tx: ending(tx, mine))  # ruff: ignore[function-uses-loop-variable]  awaited here
            assert (await job_of(database, number)).state is expected

    async def test_a_cancelled_job_is_not_tried_again(self, database: Database) -> None:
        """Whatever its runner says or does not say, a job that is to end is not queued again."""
        outcomes: list[Callable[[Transaction, Claim], object]] = [
            lambda tx, mine: fail_job(tx, mine, "no", retry_after=AT_ONCE),
            hand_back_job,
            lambda tx, mine: extend_claim(tx, mine, OVER),
        ]
        for outcome in outcomes:
            number = await add(database)
            mine = await claimed(database)
            await database.write(lambda tx: request_cancellation(tx, number))  # ruff: ignore[function-uses-loop-variable]  awaited here
            await database.write(lambda tx: outcome(tx, mine))  # ruff: ignore[function-uses-loop-variable]  awaited here
            assert await claim(database, "b") is None
            assert (await job_of(database, number)).state is JobState.CANCELLED

    async def test_progress_and_log(self, database: Database) -> None:
        """What the runner writes down is read back in order, and of a job that talks too much the newest is kept."""
        number = await add(database)
        mine = await claimed(database)
        lines = [JobLine("begun", {"n": 1}), JobLine("odd", level="warning")]
        assert await database.write(lambda tx: record_progress(tx, mine, Progress(3, 7, "blobs"), lines))
        assert (await job_of(database, number)).progress == Progress(3, 7, "blobs")
        written = await database.read(lambda tx: read_job_log(tx, number))
        assert [(line.level, line.message, line.detail) for line in written] == [
            ("info", "begun", {"n": 1}),
            ("warning", "odd", {}),
        ]

        many = [JobLine(str(index)) for index in range(LOG_LINES_KEPT - 1)]
        assert await database.write(lambda tx: record_progress(tx, mine, None, many))
        assert await messages_of(database, number) == ["odd", *[line.message for line in many]]
        assert (await job_of(database, number)).progress == Progress(3, 7, "blobs")

    async def test_lists_and_counts(self, database: Database) -> None:
        """Jobs are listed newest first, by state and kind, in pages; and counted by both."""
        numbers = [await add(database) for _ in range(3)]
        other = await add(database, "other")
        mine = await claimed(database)

        async def listed(at_most: int = 10, **options: Any) -> list[int]:
            return [job.id for job in await database.read(lambda tx: list_jobs(tx, at_most, **options))]

        assert await listed() == [other, *reversed(numbers)]
        assert await listed(2) == [other, numbers[2]]
        assert await listed(2, before=numbers[2]) == [numbers[1], numbers[0]]
        assert await listed(state=JobState.RUNNING) == [mine.job_id]
        assert await listed(kind="other", state=JobState.QUEUED) == [other]
        assert await database.read(count_jobs) == {
            ("work", JobState.QUEUED): 2,
            ("work", JobState.RUNNING): 1,
            ("other", JobState.QUEUED): 1,
        }

    async def test_history_is_trimmed(self, database: Database) -> None:
        """Finished jobs go with their logs when they are old, so many at a time; unfinished ones never."""
        numbers = [await add(database) for _ in range(4)]
        for number in numbers[:3]:
            mine = await claimed(database)
            assert mine.job_id == number
            await database.write(lambda tx: record_progress(tx, mine, None, [JobLine("line")]))  # ruff: ignore[function-uses-loop-variable]  awaited here
            await database.write(lambda tx: finish_job(tx, mine))  # ruff: ignore[function-uses-loop-variable]  awaited here
        old = update(jobs).where(jobs.c.id != numbers[2])
        await database.write(lambda tx: tx.execute(old.values(created_at=tx.now - 2 * HOUR)).rowcount)
        aged = old.where(jobs.c.finished_at.is_not(None))
        await database.write(lambda tx: tx.execute(aged.values(finished_at=tx.now - 2 * HOUR)).rowcount)

        assert await database.write(lambda tx: trim_jobs(tx, HOUR, 1)) == 1
        assert await database.write(lambda tx: trim_jobs(tx, HOUR, 10)) == 1
        assert await database.write(lambda tx: trim_jobs(tx, HOUR, 10)) == 0

        left = [job.id for job in await database.read(lambda tx: list_jobs(tx, 10))]
        assert left == [numbers[3], numbers[2]]
        assert await database.read(lambda tx: tx.execute(select(func.count()).select_from(job_log)).scalar_one()) == 1

    async def test_of_what_comes_again_only_the_newest_are_kept(self, database: Database) -> None:
        """Of a kind, all but the newest jobs that were done are forgotten; others are left alone."""
        numbers = [await add(database) for _ in range(4)]
        for _ in numbers:
            mine = await claimed(database)
            await database.write(lambda tx: finish_job(tx, mine))  # ruff: ignore[function-uses-loop-variable]  awaited here
        waiting, other = await add(database), await add(database, "other")

        assert await database.write(lambda tx: trim_runs(tx, "work", 2, 1)) == 1
        assert await database.write(lambda tx: trim_runs(tx, "work", 2, 10)) == 1
        assert await database.write(lambda tx: trim_runs(tx, "work", 2, 10)) == 0

        left = {job.id for job in await database.read(lambda tx: list_jobs(tx, 10))}
        assert left == {*numbers[2:], waiting, other}

    async def test_one_process_advances_a_schedule(self, database: Database) -> None:
        """Of those that found a schedule due at once, one may enqueue its job; afterwards it is not due."""
        due = await self.scheduled(database, "work", OVER)
        await self.scheduled(database, "early", HOUR)
        await self.scheduled(database, "unknown", OVER)
        await self.scheduled(database, "off", OVER, enabled=False)
        kinds = ["work", "early", "off"]
        assert await database.read(lambda tx: due_schedules(tx, kinds)) == [due]

        def advance(tx: Transaction) -> bool:
            return advance_schedule(tx, due, tx.now + HOUR)

        assert sorted(await asyncio.gather(*[database.write(advance) for _ in range(5)])) == [False] * 4 + [True]
        assert await database.read(lambda tx: due_schedules(tx, kinds)) == []

    async def test_a_schedule_is_changed(self, database: Database) -> None:
        """Setting a schedule again changes it and leaves it switched off; removing it makes an end of it."""
        await self.scheduled(database, "work", OVER, enabled=False)
        await self.scheduled(database, "work", HOUR, cron="@daily", window=(60, 120))
        found = await database.read(lambda tx: find_schedule(tx, "work"))
        assert found is not None
        assert (found.cron, found.window_start, found.window_end, found.enabled) == ("@daily", 60, 120, False)
        assert await database.read(list_schedules) == [found]
        await database.write(lambda tx: remove_schedule(tx, "work"))
        assert await database.read(list_schedules) == []

    @staticmethod
    async def make_due(database: Database, number: int) -> None:
        """Let the time come for which a job waits."""
        waiting = update(jobs).where(jobs.c.id == number)
        await database.write(lambda tx: tx.execute(waiting.values(run_after=tx.now)).rowcount)

    @staticmethod
    async def scheduled(
        database: Database,
        kind: str,
        due_in: timedelta,
        *,
        cron: str = "* * * * *",
        window: tuple[int, int] | None = None,
        enabled: bool = True,
    ) -> Schedule:
        """Set a schedule; returns it as it was given."""

        def setting(tx: Transaction) -> Schedule:
            start, end = window or (None, None)
            schedule = Schedule(kind, cron, start, end, tx.now + due_in, enabled)
            set_schedule(tx, schedule)
            return schedule

        return await database.write(setting)
