"""Ten thousand clients that keep their connections open, and the one that comes when there is no room left."""

import contextlib
import resource
import socket
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from harness.fixtures import StartRegistry
from harness.protocol import SECONDS_AT_MOST, Repository
from harness.registry import LiveRegistry
from serving.running import eventually
from serving.wire import PATIENCE, Wire

IDLE = 10_000
CAP = 500
FILES = 20_128  # for the test's sockets; a worker asks for as many: a socket and an object each, and some of its own
CONNECTIONS_PER_ADDRESS = 2500  # an address has some 28,000 ports, of which others may hold many
KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def files_at_most() -> Generator[int, None, None]:
    """How many files this process, and each that it starts, may open: as many as the hard limit allows, or root."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, hard = before
    if hard != resource.RLIM_INFINITY and hard < FILES:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], FILES))
            hard = FILES
    soft = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield soft
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _processes(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(found for child in children for found in _processes(int(child)))]


def _resident_bytes(pid: int) -> int:
    """The memory that a process and its descendants hold."""
    found = [Path(f"/proc/{each}/status").read_text(encoding="ascii") for each in _processes(pid)]
    return sum(int(status.partition("VmRSS:")[2].split()[0]) * KIB for status in found)


def _open_files(pid: int) -> list[Path]:
    """What a process and its descendants have open."""
    return [file for each in _processes(pid) for file in Path(f"/proc/{each}/fd").iterdir()]


def _open(stack: contextlib.ExitStack, port: int, number: int) -> Wire:
    """A connection from one of several addresses of this machine."""
    sock = stack.enter_context(socket.socket())
    sock.settimeout(PATIENCE)
    sock.bind((f"127.0.0.{2 + number // CONNECTIONS_PER_ADDRESS}", 0))
    sock.connect(("127.0.0.1", port))
    return Wire(sock)


def _port(registry: LiveRegistry) -> int:
    return int(registry.address.rpartition(":")[2])


def _patient(connections: int) -> dict[str, str]:
    """Settings of a registry with so many connections per worker, none of which is too idle."""
    return {
        "ENTREPOT_HTTP__CONNECTIONS_AT_MOST": str(connections),
        "ENTREPOT_HTTP__HEADER_TIMEOUT": "10m",
        "ENTREPOT_HTTP__IDLE_TIMEOUT": "10m",
    }


def _ask(wire: Wire) -> int:
    wire.request("GET /v2/")
    return wire.answer().status


def _push_and_pull(registry: LiveRegistry) -> None:
    """Push an image, then pull all of it, each over a new connection."""
    layer = b"a layer" * 100_000
    with httpx.Client(base_url=registry.url, auth=("admin", registry.admin_password), timeout=SECONDS_AT_MOST) as admin:
        repository = Repository(admin)
        digest = repository.push_image("v1", layer)
    with httpx.Client(base_url=registry.url, timeout=SECONDS_AT_MOST) as anyone:
        manifest = anyone.get(f"{repository.base}/manifests/v1")
        assert manifest.headers["docker-content-digest"] == digest
        blob = manifest.json()["layers"][0]["digest"]
        assert anyone.get(f"{repository.base}/blobs/{blob}").content == layer


def test_ten_thousand_open_connections_cost_little(live_registry: StartRegistry, files_at_most: int) -> None:
    """Two workers bear them in less than 160 MiB more than before, and pushes and pulls go on beside them."""
    registry = live_registry("--anonymous", "pull", "--workers", "2", environment=_patient(IDLE))
    port = _port(registry)
    for _ in range(4):
        _push_and_pull(registry)
    before = _resident_bytes(registry.pid)

    with contextlib.ExitStack() as held:
        idle: list[Wire] = []
        try:
            for number in range(IDLE):
                idle.append(_open(held, port, number))
                if number % 100 == 0:  # wait for the server now and then, whose backlog is shorter
                    assert _ask(idle[-1]) == 401
            eventually(lambda: len(_open_files(registry.pid)) > IDLE)
        except (AssertionError, OSError, EOFError) as error:
            error.add_note(f"{len(idle)} connections were open; RLIMIT_NOFILE allows {files_at_most} files a process")
            raise
        _push_and_pull(registry)
        assert _resident_bytes(registry.pid) - before < 160 * MIB
        assert {_ask(wire) for wire in idle[::100]} == {401}
    assert registry.stop() == 0


def test_a_connection_beyond_the_cap_is_told_503(live_registry: StartRegistry) -> None:
    """As many as the setting says are served; one more is refused with Retry-After until another one has gone."""
    registry = live_registry("--anonymous", "pull", environment=_patient(CAP))
    port = _port(registry)

    with contextlib.ExitStack() as held:
        idle = [_open(held, port, number) for number in range(CAP)]
        assert {_ask(wire) for wire in idle} == {401}
        for _ in range(3):
            refused = _open(held, port, 0).answer()
            assert (refused.status, refused.code) == (503, "UNAVAILABLE")
            assert int(refused.headers["retry-after"]) > 0
        assert {_ask(wire) for wire in idle} == {401}

        idle[0].sock.close()
        eventually(lambda: _is_served(port))


def _is_served(port: int) -> bool:
    """Whether there is room for a connection, which the server notices a moment after another one went."""
    with contextlib.ExitStack() as stack, contextlib.suppress(ConnectionError, EOFError):
        return _ask(_open(stack, port, 0)) == 401
    return False
