"""The queue of jobs: work that is written down with what it belongs to, and done later by one runner."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, delete, func, select, update

from entrepot.metadata.job_tables import job_log, jobs
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Unavailable

ATTEMPTS: Final = 5  # how often a job is tried when nobody says
_ENQUEUE_TRIES: Final = 5  # times that the job in the way may end between two statements


class JobState(StrEnum):
    """Where a job stands; the last three are for good."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come: ``done`` of ``total``, in whatever its kind counts."""

    done: int = 0
    total: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job's row. ``attempts`` counts the runs begun, without those that were handed back."""

    id: int
    kind: str
    parameters: Mapping[str, Any]
    state: JobState
    attempts: int
    max_attempts: int
    run_after: datetime
    runner: str | None
    lease_until: datetime | None
    cancel_requested_at: datetime | None
    progress: Progress
    last_error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """Something that happened to a job; ``level`` is ``info``, ``warning`` or ``error``."""

    at: datetime
    level: str
    message: str
    detail: Mapping[str, Any]


def enqueue(
    tx: Transaction,
    kind: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    singleton: str | None = None,
    delay: timedelta = timedelta(),
    attempts: int = ATTEMPTS,
) -> tuple[int, bool]:
    """The number of a queued job, and whether it is new; to be run when the transaction has committed.

    While a job with the same ``singleton`` is queued or running, that one is returned and no other is made.
    ``parameters`` become JSON; ``attempts`` is how often the job is tried in all.
    """
    adding = (
        tx.dialect.insert(jobs)
        .values(
            kind=kind,
            parameters=json.dumps(dict(parameters or {}), sort_keys=True),
            state=JobState.QUEUED,
            singleton=singleton,
            attempts=0,
            max_attempts=attempts,
            run_after=tx.now + delay,
            progress_done=0,
            created_at=tx.now,
        )
        .on_conflict_do_nothing(index_elements=["singleton"], index_where=jobs.c.finished_at.is_(None))
        .returning(jobs.c.id)
    )
    in_the_way = select(jobs.c.id).where(jobs.c.singleton == singleton, jobs.c.finished_at.is_(None))
    for _ in range(_ENQUEUE_TRIES):
        made = tx.execute(adding).scalar_one_or_none()
        if made is not None:
            return int(made), True
        there = tx.execute(in_the_way).scalar_one_or_none()
        if there is not None:
            return int(there), False
    raise Unavailable(reason="busy")


def find_job(tx: Transaction, job_id: int) -> Job | None:
    """The job, or None if there is none or its history was trimmed."""
    row = tx.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else job_of(row)


def list_jobs(
    tx: Transaction, at_most: int, *, state: JobState | None = None, kind: str | None = None, before: int | None = None
) -> list[Job]:
    """Jobs, newest first; ``before`` is the number of the last one seen."""
    wanted = select(jobs).order_by(jobs.c.id.desc()).limit(at_most)
    if state is not None:
        wanted = wanted.where(jobs.c.state == state)
    if kind is not None:
        wanted = wanted.where(jobs.c.kind == kind)
    if before is not None:
        wanted = wanted.where(jobs.c.id < before)
    return [job_of(row) for row in tx.execute(wanted)]


def read_job_log(tx: Transaction, job_id: int) -> list[LoggedLine]:
    """What happened to the job, oldest first; bounded, for a job keeps its newest lines only."""
    rows = tx.execute(select(job_log).where(job_log.c.job_id == job_id).order_by(job_log.c.id))
    return [LoggedLine(row.at, row.level, row.message, json.loads(row.detail)) for row in rows]


def request_cancellation(tx: Transaction, job_id: int) -> Job | None:
    """Ask for the job's end: a queued one is cancelled here and now, a running one when its runner hears of it.

    Returns the job as it then is, or None if there is none; nothing happens to a finished one.
    """
    row = tx.execute(tx.dialect.for_update(select(jobs).where(jobs.c.id == job_id))).one_or_none()
    if row is None or row.finished_at is not None:
        return None if row is None else job_of(row)
    asked_at = row.cancel_requested_at or tx.now
    changes: dict[str, Any] = {"cancel_requested_at": asked_at}
    if row.state == JobState.QUEUED:
        changes |= {"state": JobState.CANCELLED, "finished_at": tx.now}
    return job_of(tx.execute(update(jobs).where(jobs.c.id == job_id).values(changes).returning(jobs)).one())


def count_jobs(tx: Transaction) -> dict[tuple[str, JobState], int]:
    """How many jobs there are of each kind in each state, without what was trimmed."""
    rows = tx.execute(select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state))
    return {(kind, JobState(state)): number for kind, state, number in rows}


def trim_jobs(tx: Transaction, history: timedelta, at_most: int) -> int:
    """Forget up to ``at_most`` jobs, with their logs, that finished longer than ``history`` ago; returns how many."""
    old = (
        select(jobs.c.id)
        .where(jobs.c.finished_at <= tx.now - history)
        .order_by(jobs.c.finished_at)
        .limit(at_most)
        .scalar_subquery()
    )
    return tx.execute(delete(jobs).where(jobs.c.id.in_(old))).rowcount


def trim_runs(tx: Transaction, kind: str, kept: int, at_most: int) -> int:
    """Forget up to ``at_most`` jobs of a kind that were done, with their logs, but the newest ``kept``; how many."""
    done = select(jobs.c.id).where(jobs.c.kind == kind, jobs.c.state == JobState.DONE)
    newest = tx.execute(done.order_by(jobs.c.id.desc()).offset(kept).limit(1)).scalar_one_or_none()
    if newest is None:
        return 0
    old = done.where(jobs.c.id <= newest).order_by(jobs.c.id).limit(at_most).scalar_subquery()
    return tx.execute(delete(jobs).where(jobs.c.id.in_(old))).rowcount


def job_of(row: Row[*tuple[Any, ...]]) -> Job:
    """A whole row of ``jobs`` as a value."""
    return Job(
        id=row.id,
        kind=row.kind,
        parameters=json.loads(row.parameters),
        state=JobState(row.state),
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        run_after=row.run_after,
        runner=row.runner,
        lease_until=row.lease_until,
        cancel_requested_at=row.cancel_requested_at,
        progress=Progress(row.progress_done, row.progress_total, row.progress_note),
        last_error=row.last_error,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
