"""Worker processes that share a database and are killed, frozen and stopped in the middle of a job."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from entrepot.metadata import Job, JobState, enqueue, find_job, open_database, read_job_log, upgrade
from harness.ports import wait_until
from serving.worker_program import KIND

WAIT = 60.0  # seconds after which a test that hangs fails
BRIEF, LONG = 2, 3600  # seconds of lease

PROGRAM = Path(__file__).resolve().parents[1] / "serving" / "worker_program.py"


class Workers:
    """Workers over one database, and what their runs of jobs left behind."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, lease: int) -> None:
        """Start one more."""
        process = subprocess.Popen([sys.executable, str(PROGRAM), self.url, str(self.folder), str(lease)])
        self.processes[process.pid] = process

    def pids(self, word: str) -> set[int]:
        """Whose runs left ``begun``, ``cut`` or ``done``."""
        return {int(file.name.partition("-")[2]) for file in self.folder.glob(f"{word}-*")}

    def beginner(self) -> int:
        """Wait until one has begun the job; returns which."""
        wait_until(lambda: bool(self.pids("begun")), "a worker begins the job", seconds_at_most=WAIT)
        (pid,) = self.pids("begun")
        return pid

    def await_second(self) -> None:
        """Wait until another one has begun the job too."""
        wait_until(lambda: len(self.pids("begun")) == 2, "the other worker begins the job", seconds_at_most=WAIT)

    def free(self) -> None:
        """Let runs of the job end."""
        (self.folder / "free").touch()

    def enqueue(self) -> int:
        """Queue a job."""

        async def adding() -> int:
            database = open_database(self.url)
            number, _ = await database.write(lambda tx: enqueue(tx, KIND))
            await database.close()
            return number

        return asyncio.run(adding())

    def job(self, number: int) -> tuple[Job, list[str]]:
        """The job's row and what its log says."""

        async def reading() -> tuple[Job | None, list[str]]:
            database = open_database(self.url)
            found = await database.read(
                lambda tx: (find_job(tx, number), [line.message for line in read_job_log(tx, number)])
            )
            await database.close()
            return found

        job, log = asyncio.run(reading())
        assert job is not None
        return job, log

    def await_done(self, number: int) -> tuple[Job, list[str]]:
        """Wait until the job has ended."""
        wait_until(lambda: self.job(number)[0].finished_at is not None, "the job ends", seconds_at_most=WAIT)
        return self.job(number)


@pytest.fixture(params=["sqlite", "postgresql"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Workers, None, None]:
    """No workers yet, over a fresh database of either kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    else:
        url = request.getfixturevalue("postgresql").fresh_database()
    upgrade(url)
    folder = tmp_path / "runs"
    folder.mkdir()
    started = Workers(url, folder)
    yield started
    for process in started.processes.values():
        process.kill()
        process.wait()


def test_a_job_of_a_killed_worker_is_done_by_another(workers: Workers) -> None:
    """When the worker that runs a job is killed, the other one does it, once, as soon as the lease is over."""
    workers.start(BRIEF)
    workers.start(BRIEF)
    number = workers.enqueue()
    killed = workers.beginner()
    (alive,) = set(workers.processes) - {killed}

    workers.processes[killed].kill()
    workers.await_second()
    workers.free()
    job, log = workers.await_done(number)

    assert (job.state, job.attempts) == (JobState.DONE, 2)
    assert log == ["the runner was not heard of until its lease was over"]
    assert workers.pids("done") == {alive}
    assert workers.pids("cut") == set()


def test_a_frozen_worker_that_wakes_up_changes_nothing(workers: Workers) -> None:
    """A worker that was frozen for longer than its lease ends its run when it wakes; the other one's goes on."""
    workers.start(BRIEF)
    workers.start(BRIEF)
    number = workers.enqueue()
    frozen = workers.beginner()
    (alive,) = set(workers.processes) - {frozen}

    workers.processes[frozen].send_signal(signal.SIGSTOP)
    workers.await_second()
    workers.processes[frozen].send_signal(signal.SIGCONT)
    wait_until(lambda: bool(workers.pids("cut")), "the frozen worker ends its run", seconds_at_most=WAIT)
    assert workers.job(number)[0].state is JobState.RUNNING
    workers.free()
    job, _ = workers.await_done(number)

    assert (job.state, job.attempts) == (JobState.DONE, 2)
    assert workers.pids("cut") == {frozen}
    assert workers.pids("done") == {alive}


def test_a_stopped_worker_hands_its_job_over(workers: Workers) -> None:
    """After SIGTERM a worker ends with exit code 0, and another begins its job at once, however long the lease."""
    workers.start(LONG)
    number = workers.enqueue()
    stopped = workers.beginner()
    workers.start(LONG)

    workers.processes[stopped].terminate()
    assert workers.processes[stopped].wait(WAIT) == 0
    workers.await_second()
    workers.free()
    job, log = workers.await_done(number)

    assert (job.state, job.attempts, log) == (JobState.DONE, 1, [])
    assert workers.pids("cut") == {stopped}
