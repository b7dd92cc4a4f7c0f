"""The driver's process, from the side that gives it jobs."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Generator
from typing import IO

from bench.errors import BenchFailed
from bench.jobs import Figures, Job
from bench.machine import CHECKOUT


class Driver:
    """A running `python -m bench.driver`."""

    def __init__(self, process: subprocess.Popen[str], said: IO[str]) -> None:
        """``said`` is the file that takes its stderr."""
        self._process = process
        self._said = said

    def run(self, job: Job, what: str) -> Figures:
        """Run one job; raises BenchFailed, naming ``what``, when the driver ends over it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(job.to_json(), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._said.seek(0)
            raise BenchFailed(f"{what}: {self._said.read().strip()}")
        return Figures.from_json(line)


@contextlib.contextmanager
def driving() -> Generator[Driver, None, None]:
    """A driver for as long as the block runs."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=CHECKOUT,
            text=True,
        )
        try:
            yield Driver(process, said)
        finally:
            process.kill()
            process.communicate()
