"""Schedules against a clock that the test sets."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrepot.jobs import JobKind, JobRun, Window, enqueue_due, ensure_schedules
from entrepot.metadata import (
    JobState,
    claim_job,
    find_schedule,
    finish_job,
    list_jobs,
    list_schedules,
    upgrade,
)
from entrepot.metadata.sqlite import SqliteDatabase

HOUR = timedelta(hours=1)


class World:
    """A database whose clock is set by the test, and what is scheduled in it."""

    def __init__(self, path: Path) -> None:
        self.now = datetime(2024, 1, 1, 12, 30, tzinfo=UTC)
        self.database = SqliteDatabase(path, clock=lambda: self.now)

    async def ensure(self, *kinds: JobKind) -> None:
        """What a worker does when it begins."""
        await self.database.write(lambda tx: ensure_schedules(tx, kinds))

    async def look(self, *kinds: JobKind) -> int:
        """What a worker does when it looks for work; returns how many jobs were ever enqueued."""
        await self.database.write(lambda tx: enqueue_due(tx, {kind.name: kind for kind in kinds}))
        return len(await self.database.read(lambda tx: list_jobs(tx, 1000)))

    async def finish(self) -> None:
        """Do what is queued."""

        async def one() -> bool:
            claim = await self.database.write(lambda tx: claim_job(tx, "runner", {"work": HOUR}))
            return claim is not None and await self.database.write(lambda tx: finish_job(tx, claim))

        while await one():
            pass

    async def next_run_of(self, kind: JobKind) -> datetime:
        """When the kind is due."""
        schedule = await self.database.read(lambda tx: find_schedule(tx, kind.name))
        assert schedule is not None
        return schedule.next_run_at


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A database at half past twelve."""
    upgrade(f"sqlite:///{tmp_path / 'entrepot.db'}")
    world = World(tmp_path / "entrepot.db")
    yield world
    await world.database.close()


async def nothing(run: JobRun) -> None:
    """A job with nothing to do."""


def work(schedule: str | None = "0 * * * *", window: Window | None = None) -> JobKind:
    """A kind that is due every hour."""
    return JobKind("work", nothing, schedule=schedule, window=window)


async def test_a_job_for_each_hour(world: World) -> None:
    """A kind is enqueued when its time has come, once, and again when the next has."""
    await world.ensure(work())
    assert await world.look(work()) == 0
    for hour in (13, 14):
        world.now = datetime(2024, 1, 1, hour, tzinfo=UTC)
        assert await world.look(work()) == await world.look(work()) == hour - 12
        await world.finish()


async def test_missed_runs_become_one(world: World) -> None:
    """After days without a worker one job makes up for all that were missed, and the next is due in the future."""
    await world.ensure(work())
    world.now += timedelta(days=3)
    assert await world.look(work()) == 1
    assert await world.next_run_of(work()) == datetime(2024, 1, 4, 13, tzinfo=UTC)


async def test_a_running_job_is_not_joined_by_another(world: World) -> None:
    """A run whose predecessor has not ended is left out."""
    await world.ensure(work())
    for _ in range(3):
        world.now += HOUR
        assert await world.look(work()) == 1
    jobs = await world.database.read(lambda tx: list_jobs(tx, 10))
    assert [job.state for job in jobs] == [JobState.QUEUED]


async def test_a_clock_that_jumps_enqueues_nothing_twice(world: World) -> None:
    """Jumps forward and back add no job for an hour that had one."""
    await world.ensure(work())
    world.now = datetime(2024, 1, 1, 13, 0, tzinfo=UTC)
    assert await world.look(work()) == 1
    await world.finish()
    for jump in (-timedelta(minutes=5), timedelta(minutes=5), -timedelta(days=2), timedelta(days=2)):
        world.now += jump
        assert await world.look(work()) == 1
    world.now += timedelta(days=1)
    assert await world.look(work()) == 2
    await world.finish()
    world.now -= timedelta(days=1)
    assert await world.look(work()) == 2


async def test_a_schedule_from_a_clock_far_ahead_begins_anew(world: World) -> None:
    """A worker that starts after the clock was set back by a year does not wait for a year; by an hour, it waits."""
    world.now += timedelta(days=365)
    await world.ensure(work())
    world.now -= HOUR
    await world.ensure(work())
    assert await world.next_run_of(work()) == datetime(2024, 12, 31, 13, tzinfo=UTC)
    world.now -= timedelta(days=365) - HOUR
    await world.ensure(work())
    assert await world.next_run_of(work()) == datetime(2024, 1, 1, 13, tzinfo=UTC)


async def test_a_missed_run_waits_for_its_window(world: World) -> None:
    """A run that is found too late for its window is enqueued when that opens again."""
    kind = work(window=Window(60, 180))
    await world.ensure(kind)
    assert await world.next_run_of(kind) == datetime(2024, 1, 2, 1, tzinfo=UTC)
    world.now = datetime(2024, 1, 2, 5, tzinfo=UTC)
    assert await world.look(kind) == 0
    world.now = datetime(2024, 1, 3, 0, 59, tzinfo=UTC)
    assert await world.look(kind) == 0
    world.now = datetime(2024, 1, 3, 1, 0, tzinfo=UTC)
    assert await world.look(kind) == 1


async def test_schedules_follow_their_kinds(world: World) -> None:
    """A new expression takes effect when a worker begins, the same one changes nothing, and none removes it."""
    await world.ensure(work())
    world.now += 2 * HOUR
    await world.ensure(work())
    assert await world.next_run_of(work()) == datetime(2024, 1, 1, 13, tzinfo=UTC)  # what was missed is still due
    await world.ensure(work("30 5 * * *", Window(300, 360)))
    schedules = await world.database.read(list_schedules)
    assert [(one.cron, one.window_start, one.next_run_at) for one in schedules] == [
        ("30 5 * * *", 300, datetime(2024, 1, 2, 5, 30, tzinfo=UTC))
    ]
    await world.ensure(work(None))
    assert await world.database.read(list_schedules) == []
