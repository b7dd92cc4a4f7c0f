"""Runs of jobs: who may do a job now, how far it has come, and how the run ended.

A claim is good until its lease is over and somebody else has noticed. Whoever lost it changes nothing any more: every
write compares runner and attempt.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, insert, select, update

from entrepot.metadata.job_tables import job_log, jobs
from entrepot.metadata.jobs import JobState, Progress
from entrepot.metadata.transaction import Transaction

LOG_LINES_KEPT: Final = 1000  # of a job, the newest: a job that talks without end fills no disk
_EXPIRED_AT_ONCE: Final = 100  # leases looked at in one unit
_FINISHED: Final = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do a job, and what there is to do."""

    job_id: int
    kind: str
    parameters: Mapping[str, Any]
    runner: str
    attempt: int
    max_attempts: int


class Standing(Enum):
    """What has become of a claim."""

    HELD = auto()
    CANCELLING = auto()
    """Still held, and somebody wants the job to end."""
    LOST = auto()


@dataclass(frozen=True, slots=True)
class JobLine:
    """A line for the job's log; ``level`` is ``info``, ``warning`` or ``error``, ``detail`` becomes JSON."""

    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    level: str = "info"


def work_is_waiting(tx: Transaction, kinds: Sequence[str]) -> bool:
    """Whether a job of these kinds is due, or the lease of any running job is over."""
    due = and_(jobs.c.state == JobState.QUEUED, jobs.c.run_after <= tx.now, jobs.c.kind.in_(kinds))
    return any(
        tx.execute(select(jobs.c.id).where(condition).limit(1)).one_or_none() is not None
        for condition in (due, _expired(tx))
    )


def claim_job(tx: Transaction, runner: str, leases: Mapping[str, timedelta]) -> Claim | None:
    """Take the job that is due the longest, of one of the kinds in ``leases``, for that kind's lease.

    Jobs whose runner let its lease run out are freed first.
    """
    free_expired_jobs(tx)
    found = tx.execute(
        tx.dialect.for_update(
            select(jobs.c.id, jobs.c.kind, jobs.c.attempts)
            .where(jobs.c.state == JobState.QUEUED, jobs.c.run_after <= tx.now, jobs.c.kind.in_(list(leases)))
            .order_by(jobs.c.run_after, jobs.c.id)
            .limit(1),
            skip_locked=True,
        )
    ).one_or_none()
    if found is None:
        return None
    row = tx.execute(
        update(jobs)
        .where(jobs.c.id == found.id)
        .values(
            state=JobState.RUNNING,
            runner=runner,
            attempts=found.attempts + 1,
            lease_until=tx.now + leases[found.kind],
            started_at=tx.now,
            progress_done=0,
            progress_total=None,
            progress_note=None,
        )
        .returning(jobs.c.parameters, jobs.c.attempts, jobs.c.max_attempts)
    ).one()
    return Claim(found.id, found.kind, json.loads(row.parameters), runner, row.attempts, row.max_attempts)


def free_expired_jobs(tx: Transaction) -> int:
    """Give back jobs whose runner has not been heard of until its lease was over; returns how many.

    One that somebody wanted to end is cancelled, one without an attempt left has failed.
    """
    expired = tx.execute(
        tx.dialect.for_update(
            select(jobs.c.id, jobs.c.runner, jobs.c.attempts, jobs.c.max_attempts, jobs.c.cancel_requested_at)
            .where(_expired(tx))
            .order_by(jobs.c.lease_until)
            .limit(_EXPIRED_AT_ONCE),
            skip_locked=True,
        )
    ).all()
    for row in expired:
        message = "the runner was not heard of until its lease was over"
        _add_lines(tx, row.id, [JobLine(message, {"runner": row.runner, "attempt": row.attempts}, "warning")])
        if row.cancel_requested_at is not None:
            changes = _ended(tx, JobState.CANCELLED)
        elif row.attempts >= row.max_attempts:
            changes = {**_ended(tx, JobState.FAILED), "last_error": message}
        else:
            changes = {**_given_back(tx, timedelta()), "last_error": message}
        tx.execute(update(jobs).where(jobs.c.id == row.id).values(changes))
    return len(expired)


def look_at_claim(tx: Transaction, claim: Claim) -> Standing:
    """What has become of the claim; changes nothing."""
    return _standing(tx.execute(select(jobs.c.cancel_requested_at).where(_is_ours(claim))).one_or_none())


def extend_claim(tx: Transaction, claim: Claim, lease: timedelta) -> Standing:
    """Keep the job for another ``lease`` from now."""
    extending = update(jobs).where(_is_ours(claim)).values(lease_until=tx.now + lease)
    return _standing(tx.execute(extending.returning(jobs.c.cancel_requested_at)).one_or_none())


def record_progress(tx: Transaction, claim: Claim, progress: Progress | None, lines: Sequence[JobLine] = ()) -> bool:
    """Write down how far the job has come and what happened; False, and nothing written, if the claim is lost."""
    if _locked_standing(tx, claim) is Standing.LOST:
        return False
    if progress is not None:
        tx.execute(
            update(jobs)
            .where(jobs.c.id == claim.job_id)
            .values(progress_done=progress.done, progress_total=progress.total, progress_note=progress.note)
        )
    _add_lines(tx, claim.job_id, lines)
    return True


def finish_job(tx: Transaction, claim: Claim) -> bool:
    """The job is done, also when somebody wanted it cancelled meanwhile; False if the claim is lost."""
    return _change(tx, claim, _ended(tx, JobState.DONE))


def cancel_job(tx: Transaction, claim: Claim) -> bool:
    """The runner has stopped the job because somebody wanted that; False if the claim is lost."""
    return _change(tx, claim, _ended(tx, JobState.CANCELLED))


def fail_job(tx: Transaction, claim: Claim, error: str, *, retry_after: timedelta | None) -> bool:
    """This attempt failed; False if the claim is lost.

    The job is queued again for ``retry_after`` from now while it has attempts left. None means never; nor is a job
    tried again that somebody wanted cancelled.
    """
    if _locked_standing(tx, claim) is Standing.CANCELLING:
        changes = _ended(tx, JobState.CANCELLED)
    elif retry_after is None or claim.attempt >= claim.max_attempts:
        changes = _ended(tx, JobState.FAILED)
    else:
        changes = _given_back(tx, retry_after)
    written = _change(tx, claim, {**changes, "last_error": error})
    if written:
        _add_lines(tx, claim.job_id, [JobLine(error, {"attempt": claim.attempt}, "error")])
    return written


def hand_back_job(tx: Transaction, claim: Claim) -> bool:
    """The runner stops and the job has not ended: another may begin it at once, and this was no attempt.

    A job that somebody wanted cancelled is. False if the claim is lost.
    """
    if _locked_standing(tx, claim) is Standing.CANCELLING:
        return cancel_job(tx, claim)
    return _change(tx, claim, {**_given_back(tx, timedelta()), "attempts": claim.attempt - 1})


def _is_ours(claim: Claim) -> ColumnElement[bool]:
    return and_(
        jobs.c.id == claim.job_id,
        jobs.c.state == JobState.RUNNING,
        jobs.c.runner == claim.runner,
        jobs.c.attempts == claim.attempt,
    )


def _standing(row: Row[*tuple[Any, ...]] | None) -> Standing:
    if row is None:
        return Standing.LOST
    return Standing.HELD if row.cancel_requested_at is None else Standing.CANCELLING


def _locked_standing(tx: Transaction, claim: Claim) -> Standing:
    """Where the claim stands until commit: nobody can ask for cancellation, nor take the job, meanwhile."""
    ours = tx.dialect.for_update(select(jobs.c.cancel_requested_at).where(_is_ours(claim)))
    return _standing(tx.execute(ours).one_or_none())


def _expired(tx: Transaction) -> ColumnElement[bool]:
    return and_(jobs.c.state == JobState.RUNNING, jobs.c.lease_until <= tx.now)


def _ended(tx: Transaction, state: JobState) -> dict[str, Any]:
    assert state in _FINISHED
    return {"state": state, "finished_at": tx.now, "runner": None, "lease_until": None}


def _given_back(tx: Transaction, delay: timedelta) -> dict[str, Any]:
    return {"state": JobState.QUEUED, "run_after": tx.now + delay, "runner": None, "lease_until": None}


def _change(tx: Transaction, claim: Claim, changes: Mapping[str, Any]) -> bool:
    return tx.execute(update(jobs).where(_is_ours(claim)).values(changes)).rowcount == 1


def _add_lines(tx: Transaction, job_id: int, lines: Sequence[JobLine]) -> None:
    if not lines:
        return
    tx.execute(
        insert(job_log),
        [
            {
                "job_id": job_id,
                "at": tx.now,
                "level": line.level,
                "message": line.message,
                "detail": json.dumps(dict(line.detail), sort_keys=True, default=str),
            }
            for line in lines[-LOG_LINES_KEPT:]
        ],
    )
    of_job = select(job_log.c.id).where(job_log.c.job_id == job_id).order_by(job_log.c.id.desc())
    oldest_kept = of_job.offset(LOG_LINES_KEPT - 1).limit(1).scalar_subquery()
    tx.execute(delete(job_log).where(job_log.c.job_id == job_id, job_log.c.id < oldest_kept))
