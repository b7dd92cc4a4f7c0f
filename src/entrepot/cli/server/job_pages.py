"""Jobs and schedules as people and programs read them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from entrepot.metadata import Job, LoggedLine, Progress, Schedule

_NONE = "-"


def jobs_table(jobs: Sequence[Job]) -> str:
    """One job a line."""
    rows = [
        (
            str(job.id),
            job.kind,
            job.state.value,
            _progress(job.progress),
            f"{job.attempts}/{job.max_attempts}",
            _instant(job.created_at),
            _instant(job.finished_at),
        )
        for job in jobs
    ]
    return _table(("ID", "KIND", "STATE", "PROGRESS", "ATTEMPTS", "CREATED", "ENDED"), rows)


def job_page(job: Job, log: Sequence[LoggedLine]) -> str:
    """All there is to know of one job, and what happened to it."""
    facts = {
        "id": str(job.id),
        "kind": job.kind,
        "state": job.state.value,
        "parameters": json.dumps(job.parameters),
        "progress": _progress(job.progress),
        "attempts": f"{job.attempts} of {job.max_attempts}",
        "created": _instant(job.created_at),
        "not before": _instant(job.run_after),
        "begun": _instant(job.started_at),
        "ended": _instant(job.finished_at),
        "runner": job.runner or _NONE,
        "lease until": _instant(job.lease_until),
        "cancellation": _instant(job.cancel_requested_at),
        "last error": job.last_error or _NONE,
    }
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {_plain(value)}" for name, value in facts.items()]
    lines += ["", *(_log_line(line) for line in log)] if log else []
    return "\n".join(lines)


def job_as_json(job: Job, log: Sequence[LoggedLine] | None = None) -> dict[str, Any]:
    """The job for a program; with ``log`` its lines too."""
    shown: dict[str, Any] = {
        "id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "parameters": dict(job.parameters),
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "run_after": _stamp(job.run_after),
        "runner": job.runner,
        "lease_until": _stamp(job.lease_until),
        "cancel_requested_at": _stamp(job.cancel_requested_at),
        "progress": {"done": job.progress.done, "total": job.progress.total, "note": job.progress.note},
        "last_error": job.last_error,
        "created_at": _stamp(job.created_at),
        "started_at": _stamp(job.started_at),
        "finished_at": _stamp(job.finished_at),
    }
    if log is not None:
        shown["log"] = [
            {"at": _stamp(line.at), "level": line.level, "message": line.message, "detail": dict(line.detail)}
            for line in log
        ]
    return shown


def schedules_table(schedules: Sequence[Schedule]) -> str:
    """One schedule a line."""
    rows = [
        (
            schedule.kind,
            schedule.cron,
            _window(schedule),
            _instant(schedule.next_run_at),
            "yes" if schedule.enabled else "no",
        )
        for schedule in schedules
    ]
    return _table(("KIND", "SCHEDULE", "WINDOW", "NEXT", "ENABLED"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, *([_plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _log_line(line: LoggedLine) -> str:
    detail = f"  {_details(line.detail)}" if line.detail else ""
    return f"{_instant(line.at)}  {line.level:<7}  {_plain(line.message)}{_plain(detail)}"


def _details(detail: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in detail.items())


def _progress(progress: Progress) -> str:
    counted = str(progress.done) if progress.total is None else f"{progress.done}/{progress.total}"
    return f"{counted} {progress.note}" if progress.note else counted


def _window(schedule: Schedule) -> str:
    if schedule.window_start is None or schedule.window_end is None:
        return _NONE
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (schedule.window_start, schedule.window_end))


def _instant(instant: datetime | None) -> str:
    return _NONE if instant is None else f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def _stamp(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def _plain(text: str) -> str:
    """The text without what could move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
