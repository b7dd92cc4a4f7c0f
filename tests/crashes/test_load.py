"""`entrepot serve` with hundreds of connections that do nothing, or not enough, while clients push."""

import base64
import contextlib
import os
import socket
import threading
from collections.abc import Generator
from pathlib import Path

from crashes.pushers import Pusher, Shift, chance_of
from crashes.site import new_site
from harness.ports import wait_until
from harness.registry import ADMIN, LiveRegistry

PUSHERS = 8
IDLE = 500
SLOW = 200
ROUNDS_OF_FLOOD = 3
PATIENCE = "5s"  # of the server with headers and bodies
MIB = 1024 * 1024
GROWTH_AT_MOST = 64 * MIB
SECONDS_AT_MOST = 120.0
FLOOD = b"".join(b"X-Flood-%d: %s\r\n" % (number, b"x" * 100) for number in range(10_000))


class Swarm:
    """Connections of clients that are slow or mean."""

    def __init__(self, registry: LiveRegistry, location: str) -> None:
        host, _, port = registry.address.partition(":")
        self._address = (host, int(port))
        credentials = base64.b64encode(f"{ADMIN}:{registry.admin_password}".encode())
        head = f"Host: {registry.address}\r\nAuthorization: Basic {credentials.decode()}\r\n"
        self._slow_body = f"PATCH {location} HTTP/1.1\r\n{head}Content-Length: 1000000\r\n\r\n".encode() + b"x" * 100
        self._slow_header = f"GET /v2/ HTTP/1.1\r\n{head}X-Slow: ".encode()
        self._flood = f"GET /v2/ HTTP/1.1\r\n{head}".encode() + FLOOD
        self._idle: list[socket.socket] = []
        self._slow: list[socket.socket] = []

    @contextlib.contextmanager
    def open(self) -> Generator[None, None, None]:
        """All of them are connected while the block runs; half of the slow ones stall in a header, half in a body."""
        try:
            for _ in range(IDLE):
                self._idle.append(socket.create_connection(self._address))
            for number in range(SLOW):
                connection = socket.create_connection(self._address)
                self._slow.append(connection)
                connection.sendall(self._slow_header if number % 2 else self._slow_body)
            yield
        finally:
            for connection in [*self._idle, *self._slow]:
                connection.close()

    def trickle(self) -> int:
        """A byte more from each slow client; returns how many are still connected."""
        for connection in tuple(self._slow):
            try:
                connection.send(b"x", socket.MSG_DONTWAIT)
            except OSError:
                self._slow.remove(connection)
                connection.close()
        return len(self._slow)

    def flood(self) -> None:
        """Requests with a megabyte of headers each, as fast as they are taken."""
        for _ in range(SLOW // 10):
            with socket.create_connection(self._address) as connection, contextlib.suppress(OSError):
                connection.sendall(self._flood)


class Watch:
    """The most memory that a process held while the block ran."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.before = self.most = resident_bytes(pid)

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self.most = max(self.most, resident_bytes(self._pid))

    @contextlib.contextmanager
    def running(self) -> Generator[None, None, None]:
        """Look again and again."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()


def resident_bytes(pid: int) -> int:
    """The memory that a process holds."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_a_swarm_of_slow_clients_costs_little_and_delays_nobody(tmp_path: Path) -> None:
    """500 idle, 200 slow and flooding clients cost less than 64 MiB; every push beside them gets its 201."""
    site = new_site(tmp_path / "site", None)
    chance = chance_of(2)
    common = [chance.randbytes(100_000)]
    pushers = [Pusher(f"pusher-{number}", chance_of(chance.random()), common) for number in range(PUSHERS)]
    limits = {"ENTREPOT_HTTP__RATE_WINDOW": PATIENCE, "ENTREPOT_HTTP__HEADER_TIMEOUT": PATIENCE}
    with site.served(**limits) as registry, site.http(registry) as http:
        for pusher in pushers:
            pusher.work(registry, http)
        with Shift(pushers, registry, http):
            wait_for_pushes(pushers)
            watch = Watch(registry.pid)
            location = http.post("/v2/crashes/slow/blobs/uploads/").headers["location"]
            swarm = Swarm(registry, location)
            with watch.running(), swarm.open():
                wait_for_pushes(pushers)
                for _ in range(ROUNDS_OF_FLOOD):
                    swarm.flood()
                wait_until(lambda: not swarm.trickle(), "every slow client is cut", seconds_at_most=SECONDS_AT_MOST)
                wait_for_pushes(pushers)
        assert watch.most - watch.before < GROWTH_AT_MOST
        site.survey(http, [pusher.ledger for pusher in pushers])
        assert registry.stop() == 0


def wait_for_pushes(pushers: list[Pusher]) -> None:
    """Wait until every pusher has pushed a manifest more."""
    before = [len(pusher.ledger.asked) for pusher in pushers]
    wait_until(
        lambda: all(len(pusher.ledger.asked) > number + 1 for pusher, number in zip(pushers, before, strict=True)),
        "every pusher has pushed an image",
        seconds_at_most=SECONDS_AT_MOST,
    )
