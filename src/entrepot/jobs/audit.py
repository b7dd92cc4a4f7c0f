"""Forgetting audit rows that are old, or too many."""

from datetime import timedelta
from typing import Final

from entrepot.jobs.kinds import JobKind, JobRun
from entrepot.metadata import Database, trim_audit

_AT_ONCE: Final = 1000  # rows in one unit of work


def audit_kind(database: Database, keep: timedelta, rows_at_most: int) -> JobKind:
    """The kind ``audit.trim``: every hour, forget rows older than ``keep``, and the oldest beyond ``rows_at_most``."""

    async def trim(run: JobRun) -> None:
        forgotten, more = 0, True
        while more:
            gone = await database.write(lambda tx: trim_audit(tx, tx.now - keep, rows_at_most, _AT_ONCE))
            forgotten, more = forgotten + gone, gone == _AT_ONCE
            run.progress(forgotten)
        if forgotten:
            run.log("forgot audit rows", rows=forgotten)

    return JobKind("audit.trim", trim, schedule="37 * * * *")
