"""Slow clients, floods of connections, refusals before the body, and the end of the server, over real sockets."""

import contextlib
import http.client
import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from entrepot.http.limits import Limits
from harness.programs import find_program
from serving.running import eventually, program, running
from serving.wire import Wire, connected

HURRIED = Limits(
    header_time=timedelta(seconds=0.5),
    idle_time=timedelta(seconds=0.5),
    minimum_rate=10_000,
    rate_window=timedelta(seconds=0.5),
)
MIB = 1 << 20


def test_headers_that_never_end_are_cut(tmp_path: Path) -> None:
    """A request whose headers are not complete in time is answered 408 or closed, however it trickles."""
    with running(HURRIED) as ports, connected(ports.public) as wire:
        wire.send(b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        answered = wire.read_to_end()

    assert answered == b"" or answered.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_is_closed() -> None:
    """Neither a new connection nor one between two requests may wait for ever."""
    with running(HURRIED) as ports:
        with connected(ports.public) as silent:
            silent.read_to_end()
        with connected(ports.public) as idle:
            idle.request("GET /hello")
            assert idle.answer().status == 200
            assert idle.read_to_end() == b""


def test_a_body_below_the_minimum_rate_is_408() -> None:
    """A body that stalls is refused, and says so."""
    with running(HURRIED) as ports, connected(ports.public) as wire:
        wire.request("PUT /take", "Content-Length: 100000", body=b"x" * 100)
        answer = wire.answer()

    assert (answer.status, answer.code) == (408, "BLOB_UPLOAD_INVALID")


def test_a_reader_below_the_minimum_rate_is_cut() -> None:
    """Who asks for much and reads nothing loses the connection, and what was sent ends early."""
    with running(HURRIED) as ports, connected(ports.public, receive_buffer=4096) as wire:
        wire.request(f"GET /give?length={64 * MIB}")
        eventually(lambda: _is_cut(ports.operations))
        received = wire.read_to_end()

    assert received.startswith(b"HTTP/1.1 200 ")
    assert len(received) < 64 * MIB


def _is_cut(operations: int) -> bool:
    """Whether no request is being served but this one."""
    connection = http.client.HTTPConnection("127.0.0.1", operations, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return "entrepot_http_requests_in_flight 1.0" in text


def test_an_early_refusal_is_seen_by_a_client_that_sends_on() -> None:
    """The answer to a large body that was refused unread arrives, and the connection ends without a reset before."""
    with running() as ports, connected(ports.public) as wire:
        wire.request("PUT /refuse", f"Content-Length: {16 * MIB}")
        for _ in range(16):
            wire.send(b"x" * MIB)

        assert wire.answer().status == 401


def test_an_early_refusal_does_not_ask_for_the_body() -> None:
    """A client that waits for 100 Continue gets the refusal at once, and the connection is closed."""
    with running() as ports, connected(ports.public) as wire:
        wire.request("PUT /refuse", f"Content-Length: {16 * MIB}", "Expect: 100-continue")
        answer = wire.answer()

        assert (answer.status, answer.headers["connection"]) == (401, "close")
        assert wire.read_to_end() == b""


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
def test_curl_sees_an_early_refusal(tmp_path: Path, expect: str) -> None:
    """A common client with 64 MiB to send reports the 401."""
    body = tmp_path / "body"
    with body.open("wb") as file:
        file.truncate(64 * MIB)
    with running() as ports:
        url = f"http://127.0.0.1:{ports.public}/refuse"
        told = subprocess.run(
            [find_program("curl"), "-s", "-o", os.devnull, "-w", "%{http_code}", "-H", expect, "-T", str(body), url],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert told.stdout == "401"


def test_idle_connections_cost_little(tmp_path: Path) -> None:
    """A thousand open connections hold less than 32 MiB, and requests are served beside them."""
    with program(tmp_path) as server, contextlib.ExitStack() as held:
        with connected(server.ports.public) as wire:
            wire.request("GET /hello")
            assert wire.answer().status == 200
        before = server.resident_bytes()
        for _ in range(1000):
            idle = held.enter_context(connected(server.ports.public))
            idle.send(b"GET /hello HTTP/1.1\r\n")
        with connected(server.ports.public) as wire:
            wire.request("GET /hello")
            assert wire.answer().status == 200

        assert server.resident_bytes() - before < 32 * MIB


def test_connections_over_the_cap_are_told_so() -> None:
    """One connection too many is 503 with Retry-After, and the others go on."""
    with running(Limits(connections=2)) as ports, contextlib.ExitStack() as held:
        first = held.enter_context(connected(ports.public))
        second = held.enter_context(connected(ports.public))
        for wire in (first, second):
            wire.request("GET /hello")
            assert wire.answer().status == 200
        third = held.enter_context(connected(ports.public))
        third.request("GET /hello")
        answer = third.answer()
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
        first.request("GET /hello")
        assert first.answer().status == 200


def test_a_stop_lets_running_requests_finish(tmp_path: Path) -> None:
    """After SIGTERM a running request is answered, a new connection is refused, and the process ends with 0."""
    with program(tmp_path) as server:
        with connected(server.ports.public) as wire:
            wire.request("GET /wait?seconds=1")
            eventually(lambda: _requests_running(server.ports.operations))
            server.stop()
            assert wire.answer().body == b"done\n"
        assert server.process.wait(timeout=15) == 0
        with pytest.raises(ConnectionError):
            _connect(server.ports.public)


def _connect(port: int) -> None:
    with connected(port):
        pass


def _requests_running(operations: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", operations, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        return "entrepot_http_requests_in_flight 2.0" in connection.getresponse().read().decode()


def test_a_stop_ends_what_does_not_finish(tmp_path: Path) -> None:
    """A request that outlasts the grace period is cancelled, and the process ends."""
    with program(tmp_path, "--graceful-seconds", "0.5") as server, connected(server.ports.public) as wire:
        wire.request("GET /wait?seconds=60")
        eventually(lambda: _requests_running(server.ports.operations))
        server.stop()

        assert server.process.wait(timeout=15) == 0


def _pid(wire: Wire) -> int:
    wire.request("GET /echo", "Connection: close")
    return int(wire.answer().body.partition(b'"pid":')[2].split(b"}")[0])


def _worker(port: int) -> int:
    with connected(port) as wire:
        return _pid(wire)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """With two workers, one killed without warning has a successor soon; requests go on."""
    with program(tmp_path, "--workers", "2") as server:
        seen: set[int] = set()

        def both_seen() -> bool:
            seen.add(_worker(server.ports.public))
            return len(seen) == 2

        eventually(both_seen)
        victim = min(seen)
        os.kill(victim, signal.SIGKILL)
        now: set[int] = set()

        def replaced() -> bool:
            with contextlib.suppress(ConnectionError, EOFError):
                now.add(_worker(server.ports.public))
            return len(now - seen) == 1

        eventually(replaced)
