"""The application running: in a thread of the test, or as a program of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from entrepot.http.limits import Limits
from entrepot.http.listeners import Listener
from entrepot.http.proxies import TrustedProxies
from entrepot.http.server import serving
from entrepot.http.tls import TLS
from serving.apps import application
from serving.wire import PATIENCE

_TESTS = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the two listeners are reached on 127.0.0.1."""

    public: int
    operations: int


@contextmanager
def running(
    limits: Limits | None = None, *, proxies: TrustedProxies | None = None, tls: TLS | None = None
) -> Generator[Ports, None, None]:
    """Serve in a thread while the block runs; ``tls`` is for the public listener."""
    limits = limits or Limits()
    listeners = [Listener("public", "127.0.0.1", 0, tls), Listener("operations", "127.0.0.1", 0)]
    with serving(partial(application, limits, proxies), listeners, limits=limits) as [public, operations]:
        yield Ports(public.port, operations.port)


@dataclass(frozen=True, slots=True)
class Program:
    """The application as a process of its own."""

    process: subprocess.Popen[str]
    ports: Ports
    log: Path

    def stop(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def resident_bytes(self) -> int:
        """The memory that it holds."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def program(folder: Path, *arguments: str) -> Generator[Program, None, None]:
    """Start the program, wait until it serves, and see to it that it ends with the block."""
    log = folder / "log"
    with log.open("w", encoding="utf-8") as errors:
        process = start(*arguments, errors=errors)
    try:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline() or "{}")
        assert ports, log.read_text(encoding="utf-8")
        yield Program(process, Ports(**ports), log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=PATIENCE)


def start(*arguments: str, errors: Any) -> subprocess.Popen[str]:
    """Start the program."""
    return subprocess.Popen(
        [sys.executable, "-m", "serving.apps", *arguments],
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds that nothing announces; fails the test when it does not come to hold."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
