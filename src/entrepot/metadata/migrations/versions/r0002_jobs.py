"""The queue of jobs, their log, and their schedules."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _row_number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_jobs()
    _create_job_log()
    _create_schedules()


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("singleton", sa.Text, nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("run_after", sa.BigInteger, nullable=False),
        sa.Column("runner", sa.Text, nullable=True),
        sa.Column("lease_until", sa.BigInteger, nullable=True),
        sa.Column("cancel_requested_at", sa.BigInteger, nullable=True),
        sa.Column("progress_done", sa.BigInteger, nullable=False),
        sa.Column("progress_total", sa.BigInteger, nullable=True),
        sa.Column("progress_note", sa.Text, nullable=True),
        sa.Column("last_error", sa.Text, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=True),
        sa.Column("finished_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_jobs_state")),
        sa.CheckConstraint("(finished_at IS NULL) = (state IN ('queued', 'running'))", name=op.f("ck_jobs_finished")),
        sa.CheckConstraint("(runner IS NOT NULL) = (state = 'running')", name=op.f("ck_jobs_runner")),
        sa.CheckConstraint("(lease_until IS NOT NULL) = (state = 'running')", name=op.f("ck_jobs_lease_until")),
        sqlite_autoincrement=True,
    )
    _create_partial_index("ix_jobs_singleton", ["singleton"], "finished_at IS NULL", unique=True)
    _create_partial_index("ix_jobs_queued", ["run_after", "id"], "state = 'queued'")
    _create_partial_index("ix_jobs_running", ["lease_until"], "state = 'running'")
    op.create_index(op.f("ix_jobs_finished_at"), "jobs", ["finished_at"], unique=False)
    op.create_index(op.f("ix_jobs_kind_state"), "jobs", ["kind", "state"], unique=False)


def _create_partial_index(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(
        op.f(name), "jobs", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def _create_job_log() -> None:
    op.create_table(
        "job_log",
        sa.Column("id", _row_number(), nullable=False),
        sa.Column("job_id", _row_number(), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_log")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_log_job_id"), ondelete="CASCADE"),
        sa.CheckConstraint("level IN ('info', 'warning', 'error')", name=op.f("ck_job_log_level")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_job_log_job_id_id"), "job_log", ["job_id", "id"], unique=False)


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("window_start", sa.Integer, nullable=True),
        sa.Column("window_end", sa.Integer, nullable=True),
        sa.Column("next_run_at", sa.BigInteger, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_schedules")),
        sa.CheckConstraint(
            "(window_start IS NULL) = (window_end IS NULL)"
            " AND (window_start IS NULL OR window_start BETWEEN 0 AND 1439)"
            " AND (window_end IS NULL OR window_end BETWEEN 0 AND 1439)",
            name=op.f("ck_schedules_window"),
        ),
    )
