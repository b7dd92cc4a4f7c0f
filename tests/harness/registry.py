"""A registry that runs as its users run it: `entrepot serve` in a process of its own, on a free port of 127.0.0.1."""

import contextlib
import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest

from harness.ports import wait_until

ADMIN = "admin"
START_SECONDS_AT_MOST = 90.0
STOP_SECONDS_AT_MOST = 40.0
ANSWER_SECONDS_AT_MOST = 5.0
LOG_LINES_SHOWN = 40

# The first line of what the registry says once it listens; it names the port that the system gave it.
_LISTENING = re.compile(r"entrepot is listening on http://(127\.0\.0\.1:\d+)")


@dataclass(frozen=True)
class LiveRegistry:
    """A registry that answers on ``address``, its data directory, its log."""

    address: str
    """``127.0.0.1:PORT``, as clients write it before a repository's name."""
    admin_password: str
    data: Path
    pid: int
    _process: subprocess.Popen[bytes]
    _log_file: Path

    @property
    def url(self) -> str:
        """The address as an origin: ``http://127.0.0.1:PORT``."""
        return f"http://{self.address}"

    def log(self) -> str:
        """All that the process has written so far, to stdout and stderr."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def log_tail(self) -> str:
        """The last lines of the log, enough to see what a failed test met."""
        return "\n".join(self.log().splitlines()[-LOG_LINES_SHOWN:])

    def stop(self) -> int:
        """Ask the registry to stop as a service manager does, and return its exit code; a second call changes nothing.

        One that has not stopped in time is killed, and its exit code is the negative number of that signal.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS_AT_MOST)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End the process without asking, as a crash does, and return its exit code."""
        self._process.kill()
        return self._process.wait(STOP_SECONDS_AT_MOST)


@contextlib.contextmanager
def running_registry(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, admin_password: str | None = None
) -> Generator[LiveRegistry, None, None]:
    """Start a registry whose data, log and password file lie in ``folder``, wait until it is ready, stop it at the end.

    ``arguments`` and ``environment`` are added to `entrepot serve`'s; the data directory of an earlier registry in the
    same folder is used again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, log_file, password_file = folder / "data", folder / "log", folder / "admin-password"
    password = admin_password or secrets.token_urlsafe(16)
    password_file.write_text(password, encoding="utf-8")
    password_file.chmod(0o600)
    command = [str(Path(sys.executable).with_name("entrepot")), "serve", "--listen", "127.0.0.1:0"]
    command += ["--data", str(data), "--admin-password-file", str(password_file), *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**inherited, **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        address = _wait_for_address(process, log_file)
        registry = LiveRegistry(address, password, data, process.pid, process, log_file)
        yield registry
        registry.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(STOP_SECONDS_AT_MOST)


def _wait_for_address(process: subprocess.Popen[bytes], log_file: Path) -> str:
    """The address that a starting registry tells, once it answers there; a registry that ends fails the test."""
    address = ""

    def answers() -> bool:
        nonlocal address
        log = log_file.read_text(encoding="utf-8", errors="replace")
        if process.poll() is not None:
            pytest.fail(f"entrepot serve ended with exit code {process.returncode}:\n{log}", pytrace=False)
        if (told := _LISTENING.search(log)) is None:
            return False
        address = told[1]
        return _is_ready(address)

    try:
        wait_until(answers, "entrepot serve is ready", seconds_at_most=START_SECONDS_AT_MOST)
    except TimeoutError as late:
        log = log_file.read_text(encoding="utf-8", errors="replace")
        pytest.fail(f"{late}:\n{log}", pytrace=False)
    return address


def _is_ready(address: str) -> bool:
    """Whether the registry answers clients: with a challenge, or with 200 where none is needed."""
    connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS_AT_MOST)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
