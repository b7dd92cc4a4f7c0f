"""The rows of work to be done: jobs, what they wrote down, and when their kinds run by themselves."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from entrepot.metadata.tables import metadata
from entrepot.metadata.types import InstantType, row_number

_MINUTES = 24 * 60  # of a day

jobs = Table(
    "jobs",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
        nullable=False,
    ),
    Column("singleton", Text),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("run_after", InstantType, nullable=False),
    Column("runner", Text),
    Column("lease_until", InstantType),
    Column("cancel_requested_at", InstantType),
    Column("progress_done", BigInteger, nullable=False),
    Column("progress_total", BigInteger),
    Column("progress_note", Text),
    Column("last_error", Text),
    Column("created_at", InstantType, nullable=False),
    Column("started_at", InstantType),
    Column("finished_at", InstantType),
    CheckConstraint("(finished_at IS NULL) = (state IN ('queued', 'running'))", name="finished"),
    CheckConstraint("(runner IS NOT NULL) = (state = 'running')", name="runner"),
    CheckConstraint("(lease_until IS NOT NULL) = (state = 'running')", name="lease_until"),
    Index(
        "ix_jobs_singleton",
        "singleton",
        unique=True,
        sqlite_where=text("finished_at IS NULL"),
        postgresql_where=text("finished_at IS NULL"),
    ),
    Index(
        "ix_jobs_queued",
        "run_after",
        "id",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_jobs_running",
        "lease_until",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
    Index(None, "finished_at"),
    Index(None, "kind", "state"),
    sqlite_autoincrement=True,
)
"""Work to be done once; ``parameters`` is a JSON object. ``runner`` and ``attempts`` together name who may write to a
running job. Of unfinished jobs with the same ``singleton`` there is one.
"""

job_log = Table(
    "job_log",
    metadata,
    Column("id", row_number(), primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("at", InstantType, nullable=False),
    Column("level", Text, CheckConstraint("level IN ('info', 'warning', 'error')", name="level"), nullable=False),
    Column("message", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "job_id", "id"),
    sqlite_autoincrement=True,
)
"""What happened to a job, in order; ``detail`` is a JSON object."""

schedules = Table(
    "schedules",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("cron", Text, nullable=False),
    Column("window_start", Integer),
    Column("window_end", Integer),
    Column("next_run_at", InstantType, nullable=False),
    Column("enabled", Boolean, nullable=False),
    CheckConstraint(
        "(window_start IS NULL) = (window_end IS NULL)"
        f" AND (window_start IS NULL OR window_start BETWEEN 0 AND {_MINUTES - 1})"
        f" AND (window_end IS NULL OR window_end BETWEEN 0 AND {_MINUTES - 1})",
        name="window",
    ),
)
"""When a kind of job is enqueued by itself; a window is two minutes of the day, UTC, and may go over midnight."""
