"""The contract of the queue of jobs against a small model: any history of runners, living and dead.

A subclass gives a fixture ``database`` as for ``entrepot.testing.job_queue``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from entrepot.metadata import Claim, Database, JobState, request_cancellation
from entrepot.metadata.job_tables import jobs
from entrepot.testing.job_queue import HOUR, OVER, add, claim, endings, job_of

ENDED: Final = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class JobHistoriesContract:
    """What becomes of jobs, whatever their runners do."""

    @settings(
        max_examples=40,
        deadline=None,
        # Examples share a database, which each empties; each back end runs them on its own.
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(data=st.data())
    async def test_histories_follow_the_model(self, database: Database, data: st.DataObject) -> None:
        """Any history of claims, lost leases, endings and cancellations goes as the model says."""
        await database.write(lambda tx: tx.execute(delete(jobs)).rowcount)
        model: dict[int, _Expected] = {}
        claims: list[Claim] = []
        for step in data.draw(st.lists(_steps, min_size=1, max_size=25)):
            await _take(database, model, claims, step)
            for number, expected in model.items():
                job = await job_of(database, number)
                assert (job.state, job.attempts, job.runner) == (expected.state, expected.attempts, expected.runner)


@dataclass
class _Expected:
    """What a job should be."""

    max_attempts: int
    state: JobState = JobState.QUEUED
    attempts: int = 0
    runner: str | None = None
    expired: bool = False
    cancelling: bool = False
    holder: Claim | None = None

    def end(self, state: JobState) -> None:
        assert self.state not in ENDED
        self.state, self.runner, self.holder, self.expired = state, None, None, False

    def give_back(self, attempts: int) -> None:
        self.end(JobState.QUEUED)
        self.attempts = attempts


_steps = st.one_of(
    st.tuples(st.just("enqueue"), st.integers(1, 3)),
    st.tuples(st.just("claim"), st.sampled_from(["a", "b", "c"]), st.booleans()),
    st.tuples(
        st.sampled_from(["finish", "fail", "cancel", "hand back", "progress", "extend", "look"]), st.integers(0, 9)
    ),
    st.tuples(st.just("request"), st.integers(0, 9)),
)


async def _take(database: Database, model: dict[int, _Expected], claims: list[Claim], step: tuple[Any, ...]) -> None:
    match step:
        case ("enqueue", int(attempts)):
            model[await add(database, attempts=attempts)] = _Expected(attempts)
        case ("claim", str(runner), bool(dies)):
            found = await claim(database, runner, OVER if dies else HOUR)
            _expect_claim(model, found, dies=dies)
            claims += [found] if found is not None else []
        case ("request", int(index)) if model:
            number = sorted(model)[index % len(model)]
            await database.write(lambda tx: request_cancellation(tx, number))
            _expect_request(model[number])
        case (str(name), int(index)) if claims:
            used = claims[index % len(claims)]
            expected = model[used.job_id]
            held = expected.holder == used
            assert await database.write(endings(used)[name]) == held
            if held:
                _expect_ending(expected, used, name)


def _expect_claim(model: Mapping[int, _Expected], found: Claim | None, *, dies: bool) -> None:
    for expected in model.values():
        if not expected.expired:
            continue
        if expected.cancelling:
            expected.end(JobState.CANCELLED)
        elif expected.attempts >= expected.max_attempts:
            expected.end(JobState.FAILED)
        else:
            expected.give_back(expected.attempts)
    waiting = {number for number, expected in model.items() if expected.state is JobState.QUEUED}
    assert (found is None) == (not waiting)
    if found is not None:
        assert found.job_id in waiting
        expected = model[found.job_id]
        expected.state, expected.runner, expected.holder, expected.expired = JobState.RUNNING, found.runner, found, dies
        expected.attempts += 1


def _expect_request(expected: _Expected) -> None:
    if expected.state is JobState.QUEUED:
        expected.end(JobState.CANCELLED)
    elif expected.state is JobState.RUNNING:
        expected.cancelling = True


def _expect_ending(expected: _Expected, used: Claim, name: str) -> None:
    match name:
        case "finish":
            expected.end(JobState.DONE)
        case "cancel":
            expected.end(JobState.CANCELLED)
        case "fail" | "hand back" if expected.cancelling:
            expected.end(JobState.CANCELLED)
        case "fail" if used.attempt >= used.max_attempts:
            expected.end(JobState.FAILED)
        case "fail":
            expected.give_back(used.attempt)
        case "hand back":
            expected.give_back(used.attempt - 1)
        case "extend":
            expected.expired = False
