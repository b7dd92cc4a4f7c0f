"""Worker processes: started together, replaced when they die, stopped together."""

import contextlib
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final, TypeAlias

from entrepot.http.metrics import DIRECTORY_VARIABLE, forget_worker

logger = logging.getLogger(__name__)

_RESTART_PAUSE: Final = timedelta(seconds=1)
"""Between a worker's death and its replacement, when it had not come to serve."""


class StartupFailed(Exception):
    """The application did not start; the message is the application's own and one line."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a worker tells its parent that it serves, or why it cannot."""

    pipe: Pipe

    def ready(self) -> None:
        """Say that this worker accepts connections."""
        self.pipe.send_bytes(b"ready")

    def failed(self, reason: str) -> None:
        """Say why this worker does not start."""
        self.pipe.send_bytes(b"failed " + reason.encode("utf-8", "replace"))


Work: TypeAlias = Callable[[Report], None]
"""What a worker does until it is signalled; can be sent to another process."""


def supervise(
    work: Work, workers: int, *, grace: timedelta, ready: Callable[[], None], stopping: Callable[[], None]
) -> None:
    """Keep so many processes at work until SIGTERM or SIGINT; ``ready`` is called once, when all of them are.

    A worker that dies is replaced; one that does not even start ends them all with StartupFailed, unless others already
    serve. ``stopping`` is called before they are asked to stop; those that have not within ``grace`` are killed.
    """
    with _shared_numbers() as numbers, _signals() as stop:
        crew = _Crew(work, numbers)
        try:
            for _ in range(workers):
                crew.start()
            crew.keep(workers, stop, ready)
        finally:
            stopping()
            crew.stop(grace)


class Companion:
    """One more process beside a server, which is replaced whenever it ends and never keeps the server from serving."""

    def __init__(self, work: Work, *, grace: timedelta) -> None:
        """``grace`` is how long it may take to stop before it is killed."""
        self._crew = _Crew(work, None, all_served=True)
        self._grace = grace
        self._reader, self._writer = os.pipe()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the process; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="entrepot-companion")
            self._thread.start()

    def stop(self) -> None:
        """Ask the process to stop, and return without waiting for that."""
        with contextlib.suppress(OSError):  # closed already
            os.write(self._writer, b"!")

    def close(self) -> None:
        """Stop the process, and wait until it has ended."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        for descriptor in (self._reader, self._writer):
            os.close(descriptor)

    def _watch(self) -> None:
        try:
            self._crew.start()
            self._crew.keep(1, self._reader, lambda: None)
        finally:
            self._crew.stop(self._grace)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Pipe
    serves: bool = False


@dataclass(slots=True)
class _Crew:
    work: Work
    numbers: Path | None
    members: list[_Worker] = field(default_factory=list)
    all_served: bool = False

    def start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe(duplex=False)
        process = spawn.Process(target=self.work, args=(Report(theirs),), name="entrepot-worker")
        process.start()
        theirs.close()
        self.members.append(_Worker(process, ours))

    def keep(self, workers: int, stop: int, ready: Callable[[], None]) -> None:
        restart_at: float | None = None
        while True:
            watched = [stop, *(worker.process.sentinel for worker in self.members)]
            pipes = [worker.pipe for worker in self.members if not worker.serves]
            patience = None if restart_at is None else max(0.0, restart_at - time.monotonic())
            happened = wait([*watched, *pipes], patience)
            if stop in happened:
                return
            for worker in tuple(self.members):
                if worker.pipe in happened:
                    self._hear(worker)
                if worker.process.sentinel in happened:
                    pause = self._bury(worker)
                    restart_at = max(restart_at or 0.0, time.monotonic() + pause.total_seconds())
            if not self.all_served and len(self.members) == workers and all(worker.serves for worker in self.members):
                self.all_served = True
                ready()
            if restart_at is not None and time.monotonic() >= restart_at:
                restart_at = None
                while len(self.members) < workers:
                    self.start()

    def _hear(self, worker: _Worker) -> None:
        try:
            word, _, reason = worker.pipe.recv_bytes().decode("utf-8").partition(" ")
        except EOFError:
            return
        if word == "ready":
            worker.serves = True
        elif not self.all_served:
            raise StartupFailed(reason)
        else:
            logger.error("worker does not start", extra={"reason": reason})

    def _bury(self, worker: _Worker) -> timedelta:
        """Let go of a dead worker; returns how long to wait for another."""
        worker.process.join()
        worker.pipe.close()
        self.members.remove(worker)
        pid = worker.process.pid
        assert pid is not None
        if self.numbers is not None:
            forget_worker(pid, self.numbers)
        if not self.all_served:
            raise StartupFailed(f"a worker process ended with code {worker.process.exitcode} before it served")
        logger.error("worker died", extra={"pid": pid, "exit_code": worker.process.exitcode})
        return timedelta(0) if worker.serves else _RESTART_PAUSE

    def stop(self, grace: timedelta) -> None:
        for worker in self.members:
            worker.process.terminate()
        ends = time.monotonic() + grace.total_seconds()
        for worker in self.members:
            worker.process.join(max(0.0, ends - time.monotonic()))
            if worker.process.exitcode is None:
                logger.error("worker did not stop and is killed", extra={"pid": worker.process.pid})
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()


def stop_with_parent() -> None:
    """Stop this process when its parent has died without a word, instead of working on for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_parent() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_parent, name="entrepot-parent", daemon=True).start()


@contextlib.contextmanager
def _shared_numbers() -> Generator[Path, None, None]:
    """A directory in which the workers share their metrics, named in the environment that they inherit."""
    before = os.environ.get(DIRECTORY_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="entrepot-metrics-", ignore_cleanup_errors=True) as directory:
        os.environ[DIRECTORY_VARIABLE] = directory
        try:
            yield Path(directory)
        finally:
            if before is None:
                del os.environ[DIRECTORY_VARIABLE]
            else:
                os.environ[DIRECTORY_VARIABLE] = before


@contextlib.contextmanager
def _signals() -> Generator[int, None, None]:
    """A descriptor that becomes readable when SIGTERM or SIGINT arrives."""
    reader, writer = os.pipe()
    before = {
        number: signal.signal(number, lambda *_: os.write(writer, b"!")) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
