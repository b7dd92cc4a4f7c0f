"""Schedules of kinds: kept in the database, so that of many workers one enqueues each run."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from entrepot.jobs.kinds import JobKind
from entrepot.jobs.windows import next_run
from entrepot.metadata import (
    Schedule,
    Transaction,
    advance_schedule,
    due_schedules,
    enqueue,
    find_schedule,
    remove_schedule,
    set_schedule,
)

logger = logging.getLogger(__name__)


def submit(tx: Transaction, kind: JobKind, parameters: Mapping[str, Any] | None = None) -> tuple[int, bool]:
    """Enqueue a job of the kind; its number, and whether it is new or the one that is queued or running already."""
    key = kind.name if kind.singleton else None
    return enqueue(tx, kind.name, parameters, singleton=key, attempts=kind.attempts)


def ensure_schedules(tx: Transaction, kinds: Iterable[JobKind]) -> None:
    """Bring the schedules of these kinds into the database; one that is there as it should be goes on as it stands.

    One that waits for longer than its expression would ever have it wait was made by a clock that was far ahead, and
    begins anew.
    """
    for kind in kinds:
        found = find_schedule(tx, kind.name)
        if kind.schedule is None:
            if found is not None:
                remove_schedule(tx, kind.name)
            continue
        first = next_run(kind.schedule, kind.window, tx.now)
        start, end = (None, None) if kind.window is None else (kind.window.start, kind.window.end)
        wanted = Schedule(kind.name, kind.schedule, start, end, first, enabled=True)
        if found is not None and (found.cron, found.window_start, found.window_end) == (wanted.cron, start, end):
            if found.next_run_at <= next_run(kind.schedule, kind.window, first):
                continue
            logger.warning("schedule was far ahead of the clock", extra={"kind": kind.name})
        set_schedule(tx, wanted)


def enqueue_due(tx: Transaction, kinds: Mapping[str, JobKind]) -> None:
    """Enqueue a job for each schedule whose time has come, however many times it was missed.

    The next time is after this moment, so a clock that jumps forward or back enqueues nothing twice. A run that was
    missed and is found outside its window waits for the window.
    """
    for schedule in due_schedules(tx, kinds):
        kind = kinds[schedule.kind]
        if kind.schedule is None:
            continue
        if kind.window is not None and not kind.window.contains(tx.now):
            advance_schedule(tx, schedule, kind.window.opening_after(tx.now))
        elif advance_schedule(tx, schedule, next_run(kind.schedule, kind.window, tx.now)):
            submit(tx, kind)
