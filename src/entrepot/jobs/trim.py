"""Forgetting jobs that ended long ago."""

from datetime import timedelta
from typing import Final

from entrepot.jobs.kinds import JobKind, JobRun
from entrepot.metadata import Database, trim_jobs

_AT_ONCE: Final = 500  # jobs in one unit of work, with up to a thousand lines each


def trim_kind(database: Database, history: timedelta) -> JobKind:
    """The kind ``jobs.trim``: every hour, forget jobs that finished longer than ``history`` ago, with their logs."""

    async def trim(run: JobRun) -> None:
        forgotten, more = 0, True
        while more:
            trimmed = await database.write(lambda tx: trim_jobs(tx, history, _AT_ONCE))
            forgotten, more = forgotten + trimmed, trimmed == _AT_ONCE
            run.progress(forgotten)
        if forgotten:
            run.log("forgot old jobs", jobs=forgotten)

    return JobKind("jobs.trim", trim, schedule="7 * * * *")
