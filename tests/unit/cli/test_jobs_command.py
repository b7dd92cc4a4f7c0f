import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from entrepot.cli import main as run
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.server.directory_lock import locked
from entrepot.metadata import (
    Claim,
    JobLine,
    Progress,
    Transaction,
    claim_job,
    enqueue,
    fail_job,
    find_job,
    open_database,
    record_progress,
    upgrade,
)

T = TypeVar("T")


class Commands:
    """`entrepot jobs …` for a data directory, beside whoever holds its lock."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._url = f"sqlite:///{data / 'entrepot.db'}"
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        upgrade(self._url)

    def __call__(self, *arguments: str) -> tuple[object, str, str]:
        """Run a command; its exit code, stdout and stderr."""
        self._monkeypatch.setattr(sys, "argv", ["entrepot", "jobs", *arguments, "--data", str(self.data)])
        with pytest.raises(SystemExit) as caught, locked(self.data):
            run()
        return caught.value.code, *self._capsys.readouterr()

    def write(self, unit: Callable[[Transaction], T]) -> T:
        """Change the rows."""

        async def writing() -> T:
            database = open_database(self._url)
            try:
                return await database.write(unit)
            finally:
                await database.close()

        return asyncio.run(writing())


@pytest.fixture
def entrepot_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    """The commands, over a fresh database whose server is held to be running."""
    for name in [name for name in os.environ if name.startswith("ENTREPOT_")]:
        monkeypatch.delenv(name)
    return Commands(tmp_path, monkeypatch, capsys)


def failed_job(tx: Transaction) -> int:
    """A job that has failed and left a log, with a message that would colour a terminal."""
    number, _ = enqueue(tx, "work", {"n": 1}, attempts=1)
    claim = claimed(tx)
    record_progress(tx, claim, Progress(1, 3, "parts"), [JobLine("half \x1b[31mred", {"n": 2})])
    fail_job(tx, claim, "broken", retry_after=None)
    return number


def claimed(tx: Transaction) -> Claim:
    """Claim the one job."""
    claim = claim_job(tx, "runner", dict.fromkeys(("work", "jobs.trim"), timedelta(hours=1)))
    assert claim is not None
    return claim


def test_jobs_are_listed(entrepot_jobs: Commands) -> None:
    """The list has a line for each job, newest first, and can be narrowed; as JSON it is an array."""
    assert entrepot_jobs("list") == (ExitCode.OK, "", "")
    first = entrepot_jobs.write(failed_job)
    assert entrepot_jobs("run", "jobs.trim") == (ExitCode.OK, "job 2 is queued\n", "")

    code, out, _ = entrepot_jobs("list")
    lines = [line.split() for line in out.splitlines()]
    assert code == ExitCode.OK
    assert [line[:3] for line in lines[1:]] == [["2", "jobs.trim", "queued"], ["1", "work", "failed"]]
    assert "1/3 parts" in out
    assert [line.split()[0] for line in entrepot_jobs("list", "--state", "failed")[1].splitlines()] == ["ID", "1"]
    assert [line.split()[0] for line in entrepot_jobs("list", "--kind", "jobs.trim")[1].splitlines()] == ["ID", "2"]
    found = json.loads(entrepot_jobs("list", "--output", "json", "--limit", "1", "--kind", "work")[1])
    assert [(job["id"], job["state"], job["last_error"]) for job in found] == [(first, "failed", "broken")]


def test_a_job_is_shown_with_its_log(entrepot_jobs: Commands) -> None:
    """A job's page has its parameters, progress, error and log, without a byte that could steer a terminal."""
    number = entrepot_jobs.write(failed_job)

    code, out, _ = entrepot_jobs("show", str(number))
    shown = json.loads(entrepot_jobs("show", str(number), "--output", "json")[1])

    assert code == ExitCode.OK
    for words in (
        'parameters    {"n": 1}',
        "progress      1/3 parts",
        "last error    broken",
        "half \\u001b[31mred  n=2",
    ):
        assert words in out
    assert "\x1b" not in out
    assert shown["progress"] == {"done": 1, "total": 3, "note": "parts"}
    assert [(line["level"], line["message"]) for line in shown["log"]] == [
        ("info", "half \x1b[31mred"),
        ("error", "broken"),
    ]


def test_a_queued_job_is_cancelled(entrepot_jobs: Commands) -> None:
    """Cancelling a queued job ends it, twice is as good as once, and a job that has ended otherwise is refused."""
    entrepot_jobs("run", "jobs.trim")
    for _ in range(2):
        assert entrepot_jobs("cancel", "1") == (ExitCode.OK, "job 1 is cancelled\n", "")
    failed = entrepot_jobs.write(failed_job)
    code, _, err = entrepot_jobs("cancel", str(failed))
    assert (code, err) == (ExitCode.OTHER, f"entrepot: job {failed} has ended already: failed\n")


def test_a_running_job_is_asked_to_end(entrepot_jobs: Commands) -> None:
    """Cancelling a running job says that it will end, and leaves a note for its runner."""
    entrepot_jobs("run", "jobs.trim")
    entrepot_jobs.write(claimed)
    assert entrepot_jobs("cancel", "1") == (ExitCode.OK, "job 1 is running and will be cancelled\n", "")
    job = entrepot_jobs.write(lambda tx: find_job(tx, 1))
    assert job is not None
    assert job.cancel_requested_at is not None


def test_a_job_that_is_queued_already_is_taken(entrepot_jobs: Commands) -> None:
    """A second run of a kind that runs alone names the first job, or is refused when it wants something else."""
    assert entrepot_jobs("run", "jobs.trim") == (ExitCode.OK, "job 1 is queued\n", "")
    assert entrepot_jobs("run", "jobs.trim") == (ExitCode.OK, "job 1 is queued already\n", "")
    code, _, err = entrepot_jobs("run", "jobs.trim", "--parameters", '{"n": 1}')
    assert (code, err) == (ExitCode.OTHER, "entrepot: job 1 with other parameters is queued already\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "7"), ExitCode.NOT_FOUND, "there is no job 7"),
        (("cancel", "7"), ExitCode.NOT_FOUND, "there is no job 7"),
        (
            ("run", "what"),
            ExitCode.NOT_FOUND,
            "there is no kind of job 'what'; there are: audit.trim, ",
        ),
        (("run", "jobs.trim", "--parameters", "{"), ExitCode.USAGE, "--parameters: not JSON: "),
        (("run", "jobs.trim", "--parameters", "[]"), ExitCode.USAGE, "--parameters: wants a JSON object"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    entrepot_jobs: Commands, arguments: tuple[str, ...], code: ExitCode, message: str
) -> None:
    """Unknown jobs and kinds, and parameters that are none, end with their exit code and one line."""
    ended, out, err = entrepot_jobs(*arguments)
    assert (ended, out) == (code, "")
    assert err.startswith(f"entrepot: {message}")
    assert err.count("\n") == 1
