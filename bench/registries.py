"""Starting and stopping registries, each with a fresh data directory, on loopback."""

import base64
import contextlib
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

from bench.errors import BenchFailed
from bench.machine import CHECKOUT

Name: TypeAlias = Literal["entrepot", "distribution", "docker-registry"]
"""Ours, CNCF distribution v3, and the last release of version 2 as Debian ships it."""
NAMES: Final[tuple[Name, Name]] = ("entrepot", "distribution")
PEERS: Final[tuple[Name, ...]] = (*NAMES, "docker-registry")

USER: Final = "admin"
PASSWORD: Final = "benchmark"
BASIC: Final = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

# The password under bcrypt at cost 10, the default of Go's library and of the password that distribution makes itself.
_HTPASSWD: Final = f"{USER}:$2b$10$Vl4EMAnfiD4zKaidYe0X3eCzVsAvzyhySzcKSOgQzavS3/M9J4/w.\n"

_START_SECONDS_AT_MOST: Final = 30.0
_STOP_SECONDS_AT_MOST: Final = 40.0
_START_ATTEMPTS: Final = 3
_LISTENING: Final = re.compile(r"entrepot is listening on https?://127\.0\.0\.1:(\d+)")

# The cache and the deletion are what distribution's own image and most installations have.
_DISTRIBUTION: Final = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: {is_quiet}
storage:
  filesystem:
    rootdirectory: {data}
  cache:
    blobdescriptor: inmemory
http:
  addr: 127.0.0.1:{port}
"""
_DISTRIBUTION_TLS: Final = """\
  tls:
    certificate: {tls.certificate}
    key: {tls.key}
"""
_DISTRIBUTION_LOGIN: Final = """\
auth:
  htpasswd:
    realm: bench
    path: {htpasswd}
"""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that answers on a port of 127.0.0.1."""

    name: Name
    login: bool
    port: int
    pid: int


def distribution_program() -> Path:
    """The program `registry` that `make tools` built; BenchFailed when it did not."""
    tools = Path(os.environ.get("TOOLS_DIR") or CHECKOUT / ".cache" / "tools").absolute()
    program = tools / "bin" / "registry"
    if not program.is_file():
        raise BenchFailed("the program 'registry' is missing: run `make tools`")
    return program


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM of a server that speaks TLS, and of the authority that signed for it."""

    authority: Path
    certificate: Path
    key: Path


@contextlib.contextmanager
def running(
    name: Name, folder: Path, *, login: bool, is_quiet: bool = True, tls: Certificate | None = None
) -> Generator[Registry, None, None]:
    """Start a registry in ``folder``, which is made, and stop it afterwards; without ``login`` everybody may push.

    What it says goes to ``folder/log``; distribution logs each request only if it is not to be quiet. With ``tls`` it
    speaks nothing else.
    """
    folder.mkdir(parents=True)
    if name == "entrepot":
        process, port = _start_entrepot(folder, login=login, tls=tls)
    else:
        program = distribution_program() if name == "distribution" else Path("docker-registry")
        process, port = _start_distribution(program, folder, login=login, is_quiet=is_quiet, tls=tls)
    try:
        yield Registry(name, login, port, process.pid)
    finally:
        _stop(process)


def _start_entrepot(folder: Path, *, login: bool, tls: Certificate | None) -> tuple[subprocess.Popen[bytes], int]:
    password = folder / "password"
    password.write_text(PASSWORD, encoding="ascii")
    program = Path(sys.executable).parent / "entrepot"
    command: list[str | Path] = [program, "serve", "--listen", "127.0.0.1:0", "--data", folder / "data"]
    command += ["--admin-password-file", password]
    if not login:
        command += ["--anonymous", "push"]
    if tls is not None:
        command += ["--tls-certificate", tls.certificate, "--tls-key", tls.key]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ENTREPOT_")}
    process, log = _run(command, folder, environment)

    def told_port() -> int | None:
        told = _LISTENING.search(log.read_text(encoding="utf-8", errors="replace"))
        return int(told[1]) if told else None

    return process, _wait_for_port(process, log, told_port, tls)


def _start_distribution(
    program: Path, folder: Path, *, login: bool, is_quiet: bool, tls: Certificate | None
) -> tuple[subprocess.Popen[bytes], int]:
    htpasswd = folder / "htpasswd"
    htpasswd.write_text(_HTPASSWD, encoding="ascii")
    text = _DISTRIBUTION + ("" if tls is None else _DISTRIBUTION_TLS) + (_DISTRIBUTION_LOGIN if login else "")
    settings = {"data": folder / "data", "htpasswd": htpasswd, "is_quiet": str(is_quiet).lower(), "tls": tls}
    file = folder / "config.yml"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "REGISTRY_STORAGE_DELETE_ENABLED": "true"}
    for attempt in range(1, _START_ATTEMPTS + 1):
        port = _free_port()
        file.write_text(text.format(port=port, **settings), encoding="utf-8")
        process, log = _run([program, "serve", file], folder, environment)
        try:
            return process, _wait_for_port(process, log, partial(int, port), tls)
        except BenchFailed:  # somebody else may have taken the port meanwhile
            if attempt == _START_ATTEMPTS:
                raise
    raise AssertionError


def _run(
    command: list[str | Path], folder: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], Path]:
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
    return process, log


def _wait_for_port(
    process: subprocess.Popen[bytes], log: Path, port_of: Callable[[], int | None], tls: Certificate | None
) -> int:
    """The port once the registry answers there; a registry that ends or does not answer is stopped: BenchFailed."""
    deadline = time.monotonic() + _START_SECONDS_AT_MOST
    while process.poll() is None and time.monotonic() < deadline:
        port = port_of()
        if port is not None and _answers(port, tls) and process.poll() is None:
            return port
        time.sleep(0.02)
    _stop(process)
    shown = " ".join(str(part) for part in process.args) if isinstance(process.args, list) else ""
    raise BenchFailed(f"{shown}\ndid not come to serve:\n{log.read_text(encoding='utf-8', errors='replace')}")


def _answers(port: int, tls: Certificate | None) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    if tls is not None:
        context = ssl.create_default_context(cafile=tls.authority)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in {200, 401}
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process as a service manager does, by its id; one that does not end in time is killed."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS_AT_MOST)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
