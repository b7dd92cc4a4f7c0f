"""Work that is done later: kinds of jobs, their schedules, and the worker that runs what is queued."""

from entrepot.jobs.audit import audit_kind
from entrepot.jobs.collection import collect_kind, sweep_kind
from entrepot.jobs.kinds import FailedForGood, JobKind, JobRun
from entrepot.jobs.rotate import rotate_kind
from entrepot.jobs.schedules import enqueue_due, ensure_schedules, submit
from entrepot.jobs.trim import trim_kind
from entrepot.jobs.windows import ScheduleInvalid, Window, next_run
from entrepot.jobs.worker import Worker

__all__ = [
    "FailedForGood",
    "JobKind",
    "JobRun",
    "ScheduleInvalid",
    "Window",
    "Worker",
    "audit_kind",
    "collect_kind",
    "enqueue_due",
    "ensure_schedules",
    "next_run",
    "rotate_kind",
    "submit",
    "sweep_kind",
    "trim_kind",
]
