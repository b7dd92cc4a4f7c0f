"""Kinds of jobs, and what a job gets to work with."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from entrepot.jobs.windows import ScheduleInvalid, Window, next_run
from entrepot.metadata import ATTEMPTS, LOG_LINES_KEPT, Claim, JobLine, Progress

logger = logging.getLogger(__name__)


class FailedForGood(Exception):
    """Raised by a job that no further attempt can help; the message says why."""


class JobRun:
    """One attempt at a job: its parameters, and where it says how far it has come.

    What it says is written down at least once a second and when it ends, with the lease; saying it costs nothing. The
    job is ended by cancelling its task: when somebody asked for that, when its time is over, when the worker stops, or
    when another runner has taken it over. It must not block the event loop, for then nobody hears of its runner.
    """

    def __init__(self, claim: Claim) -> None:
        self.id = claim.job_id
        self.attempt = claim.attempt
        self.parameters = claim.parameters
        self._kind = claim.kind
        self._progress: Progress | None = None
        self._lines: list[JobLine] = []

    def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Say that ``done`` of ``total`` is done, in whatever this kind counts."""
        self._progress = Progress(done, total, note)

    def log(self, message: str, **detail: Any) -> None:
        """Add a line to the job's log; ``detail`` is what JSON can hold."""
        logger.info(message, extra={"job": self.id, "kind": self._kind, "detail": detail or None})
        self._add(JobLine(message, detail))

    def warn(self, message: str, **detail: Any) -> None:
        """Add a line that somebody should look at."""
        logger.warning(message, extra={"job": self.id, "kind": self._kind, "detail": detail or None})
        self._add(JobLine(message, detail, "warning"))

    def take_notes(self) -> tuple[Progress | None, list[JobLine]]:
        """What has not been written down yet, to be written now; it is the caller's from here on."""
        notes = self._progress, self._lines
        self._progress, self._lines = None, []
        return notes

    def put_back(self, progress: Progress | None, lines: list[JobLine]) -> None:
        """Keep notes that could not be written for the next time."""
        self._progress = self._progress or progress
        self._lines = [*lines, *self._lines][-LOG_LINES_KEPT:]

    def _add(self, line: JobLine) -> None:
        self._lines.append(line)
        if len(self._lines) > 2 * LOG_LINES_KEPT:
            del self._lines[:-LOG_LINES_KEPT]


Run: TypeAlias = Callable[[JobRun], Awaitable[None]]
"""Does a job; returns when it is done, raises when this attempt failed."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of work. Its ``run`` calls a use and can be ended and begun anew at any point."""

    name: str
    run: Run = field(repr=False)
    schedule: str | None = None
    """A cron expression, UTC, by which it is enqueued without parameters; None: only when something asks for it."""
    window: Window | None = None
    """The part of the day in which the schedule may enqueue it."""
    lease: timedelta | None = None
    """How long after its runner was last heard of another may begin the job; None: as the worker says."""
    timeout: timedelta = timedelta(hours=24)
    """How long one attempt may take."""
    attempts: int = ATTEMPTS
    retry_after: timedelta = timedelta(seconds=10)
    """The pause after a first failure; it doubles with each further one, up to an hour."""
    singleton: bool = True
    """Whether a job of this kind is not enqueued while another one is queued or running."""

    def __post_init__(self) -> None:
        if self.schedule is not None:
            next_run(self.schedule, self.window, datetime.now(UTC))
        elif self.window is not None:
            message = "a window goes with a schedule"
            raise ScheduleInvalid(message)
