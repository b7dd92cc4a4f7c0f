"""Schedules: when a kind of job is due by itself, and that one process enqueues it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from entrepot.metadata.job_tables import schedules
from entrepot.metadata.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Schedule:
    """A kind's schedule: a cron expression, UTC, perhaps with a window in minutes of the day."""

    kind: str
    cron: str
    window_start: int | None
    window_end: int | None
    next_run_at: datetime
    enabled: bool


def list_schedules(tx: Transaction) -> list[Schedule]:
    """All schedules, by kind."""
    return [_schedule(row) for row in tx.execute(select(schedules).order_by(schedules.c.kind)).all()]


def find_schedule(tx: Transaction, kind: str) -> Schedule | None:
    """The schedule of a kind."""
    row = tx.execute(select(schedules).where(schedules.c.kind == kind)).one_or_none()
    return None if row is None else _schedule(row)


def set_schedule(tx: Transaction, schedule: Schedule) -> None:
    """Make or change the schedule of a kind; one that is there stays enabled or not."""
    changed = {
        "cron": schedule.cron,
        "window_start": schedule.window_start,
        "window_end": schedule.window_end,
        "next_run_at": schedule.next_run_at,
    }
    tx.execute(
        tx.dialect.insert(schedules)
        .values(kind=schedule.kind, enabled=schedule.enabled, **changed)
        .on_conflict_do_update(index_elements=["kind"], set_=changed)
    )


def remove_schedule(tx: Transaction, kind: str) -> None:
    """Let the kind run no more by itself."""
    tx.execute(delete(schedules).where(schedules.c.kind == kind))


def due_schedules(tx: Transaction, kinds: Collection[str]) -> list[Schedule]:
    """The schedules of these kinds whose time has come."""
    rows = tx.execute(
        select(schedules)
        .where(schedules.c.enabled, schedules.c.next_run_at <= tx.now, schedules.c.kind.in_(list(kinds)))
        .order_by(schedules.c.next_run_at, schedules.c.kind)
    )
    return [_schedule(row) for row in rows.all()]


def advance_schedule(tx: Transaction, schedule: Schedule, next_run_at: datetime) -> bool:
    """Set the next time; False if another process has done so since ``schedule`` was read."""
    changed = tx.execute(
        update(schedules)
        .where(schedules.c.kind == schedule.kind, schedules.c.next_run_at == schedule.next_run_at)
        .values(next_run_at=next_run_at)
    )
    return changed.rowcount == 1


def _schedule(row: object) -> Schedule:
    return Schedule(*row)  # type: ignore[misc]
