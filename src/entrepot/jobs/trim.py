"""Forgetting jobs that ended long ago."""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Final

from entrepot.jobs.kinds import JobKind, JobRun
from entrepot.metadata import Database, trim_jobs, trim_runs

_NAME: Final = "jobs.trim"
_AT_ONCE: Final = 500  # jobs in one unit of work, with up to a thousand lines each
_RUNS_KEPT: Final = 1000  # of each kind that has a schedule: of one that runs each minute the last sixteen hours


def trim_kind(database: Database, history: timedelta, scheduled: Iterable[str]) -> JobKind:
    """The kind ``jobs.trim``: every hour, forget jobs that finished longer than ``history`` ago, with their logs.

    Of kinds that are ``scheduled``, and of this one, only the last thousand that were done are kept, for they come
    again and again; those that failed are kept like any others.
    """
    trimming = [
        partial(trim_jobs, history=history, at_most=_AT_ONCE),
        *(partial(trim_runs, kind=name, kept=_RUNS_KEPT, at_most=_AT_ONCE) for name in (*scheduled, _NAME)),
    ]

    async def trim(run: JobRun) -> None:
        forgotten = 0
        for unit in trimming:
            more = True
            while more:
                trimmed = await database.write(unit)
                forgotten, more = forgotten + trimmed, trimmed == _AT_ONCE
                run.progress(forgotten)
        if forgotten:
            run.log("forgot old jobs", jobs=forgotten)

    return JobKind(_NAME, trim, schedule="7 * * * *")
