"""Requests that the application must not see as they are, over real sockets."""

import json
from collections.abc import Generator
from datetime import timedelta

import pytest

from entrepot.http.limits import Limits
from serving.running import Ports, running
from serving.wire import connected

HOST = b"Host: registry.example\r\n"


@pytest.fixture(scope="module")
def ports() -> Generator[Ports, None, None]:
    """A server with the default limits, which does not wait for requests whose clients have left."""
    with running(Limits(graceful_time=timedelta(seconds=0.1))) as ports:
        yield ports


@pytest.mark.parametrize(
    "head",
    [
        b"GET /hello HTTP/1.1\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        b"GET /hello HTTP/1.1\r\nHost:\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a b\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a/b\r\n",
        b"GET /hello HTTP/1.1\r\nHost: user@a\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a:123456\r\n",
        b"GET /hello HTTP/1.1\r\nHost: [::1\r\n",
        b"GET http://other.example/hello HTTP/1.1\r\nHost: registry.example\r\n",
        b"GET /hello HTTP/1.0\r\nHost: a\r\nHost: a\r\n",
    ],
)
def test_host_must_be_single_and_valid(ports: Ports, head: bytes) -> None:
    """A missing, doubled, malformed or contradicted Host is answered 400, and the connection ends."""
    with connected(ports.public) as wire:
        wire.send(head + b"\r\n")
        answer = wire.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (400, "UNSUPPORTED", "close")
        assert wire.read_to_end() == b""


@pytest.mark.parametrize(
    "head",
    [
        b"GET /hello HTTP/1.1\r\nHost: registry.example:5000\r\n",
        b"GET /hello HTTP/1.1\r\nHost: my_registry\r\n",
        b"GET /hello HTTP/1.1\r\nHost: [::1]:5000\r\n",
        b"GET http://Registry.example/hello HTTP/1.1\r\nHost: registry.example\r\n",
        b"GET /hello HTTP/1.0\r\n",
    ],
)
def test_hosts_that_clients_send_are_taken(ports: Ports, head: bytes) -> None:
    """Names with underscores, IPv6 addresses, absolute targets and HTTP/1.0 without Host are served."""
    with connected(ports.public) as wire:
        wire.send(head + b"\r\n")
        assert wire.answer().status == 200


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"),
        (b"Content-Length: +3\r\n", b"abc"),
        (b"Content-Length: 0x3\r\n", b"abc"),
        (b"Transfer-Encoding: identity, chunked, identity\r\n", b"abc"),
        (b"Transfer-Encoding: chunked\r\n", b"3;\r\nabcd\r\n"),
        (b"Content-Length : 3\r\n", b"abc"),
        (b"Content-Length: 3\r\n folded: x\r\nX: a\x00b\r\n", b"abc"),
        (b"Content-Length: 3\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", b"abc"),
    ],
)
def test_ambiguous_framing_is_refused(ports: Ports, fields: bytes, body: bytes) -> None:
    """What two servers could read as different requests is answered 400, and the connection ends."""
    with connected(ports.public) as wire:
        wire.send(b"PUT /take HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body)
        answer = wire.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (400, "UNSUPPORTED", "close")


def test_an_upgrade_is_ignored(ports: Ports) -> None:
    """A client that offers HTTP/2 (curl --http2) is served in HTTP/1.1, on a connection that then ends."""
    with connected(ports.public) as wire:
        wire.request("GET /hello", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
        answer = wire.answer()
        assert (answer.body, answer.headers["connection"]) == (b"hello\n", "close")
        assert wire.read_to_end() == b""


def test_the_path_arrives_as_it_was_sent(ports: Ports) -> None:
    """Escapes, dots and doubled slashes are left to the path's grammar."""
    with connected(ports.public) as wire:
        wire.request("GET /echo%2f..//%00?n=%20")
        assert wire.answer().status == 404
        wire.request("GET /%65cho?n=%20")
        assert json.loads(wire.answer().body)["path"] == "/%65cho"


def test_the_listener_is_known(ports: Ports) -> None:
    """Each listener has its own application, and requests carry its name."""
    with connected(ports.public) as wire:
        wire.request("GET /echo")
        assert json.loads(wire.answer().body)["listener"] == "public"
    with connected(ports.operations) as wire:
        wire.request("GET /echo")
        assert wire.answer().status == 404
        wire.request("GET /healthz")
        assert wire.answer().status == 200


def test_trailers_are_no_headers(ports: Ports) -> None:
    """A field after a chunked body does not appear among the headers."""
    with connected(ports.public) as wire:
        wire.request("PUT /take", "Transfer-Encoding: chunked")
        wire.send(b"3\r\nabc\r\n0\r\nAuthorization: Basic eA==\r\n\r\n")
        assert wire.answer().body == b"3\n"
        wire.request(
            "POST /echo", "Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\nAuthorization: Basic eA==\r\n\r\n"
        )
        names = [name for name, _ in json.loads(wire.answer().body)["headers"]]
        assert names == ["host", "transfer-encoding"]


def test_pipelined_requests_are_answered_in_order(ports: Ports) -> None:
    """Several requests sent at once get their answers one after the other."""
    with connected(ports.public) as wire:
        for number in range(10):
            wire.request(f"GET /echo?n={number}")
        queries = [json.loads(wire.answer().body)["query"] for _ in range(10)]
        assert queries == [f"n={number}" for number in range(10)]


def test_too_many_pipelined_requests_end_the_connection(ports: Ports) -> None:
    """Requests cannot be heaped up behind one that takes its time."""
    with connected(ports.public) as wire:
        wire.request("GET /wait?seconds=30")
        wire.send(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n" + (b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n") * 100)
        assert wire.read_to_end() == b""


def test_a_bad_request_behind_a_running_one_is_not_answered_into_it(ports: Ports) -> None:
    """Where an answer is under way the connection is cut, for another answer would read as part of it."""
    with connected(ports.public) as wire:
        wire.request("GET /wait?seconds=30")
        wire.send(b"nonsense\r\n\r\n")
        assert wire.read_to_end() == b""


SMALL = Limits(header_bytes=4096, header_count=20, target_bytes=1000)


@pytest.fixture(scope="module")
def small() -> Generator[Ports, None, None]:
    """A server with low caps."""
    with running(SMALL) as ports:
        yield ports


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /hello HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 5000 + b"\r\n\r\n", 431),
        (b"GET /hello HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 5_000_000, 431),
        (b"GET /hello HTTP/1.1\r\n" + HOST + b"X" * 5_000_000, 431),
        (b"GET /hello HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 20 + b"\r\n", 431),
        (b"GET /hello HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 500_000, 431),
        (b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /" + b"a" * 5_000_000, 414),
        (b"\r\n" * 1_000_000, 431),
        (
            b"PUT /take HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "
            + b"a" * 5_000_000,
            431,
        ),
        (b"PUT /take HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1;x=" + b"a" * 5_000_000, 431),
        (b"PUT /take HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 30, 431),
    ],
    ids=[
        "long",
        "endless",
        "name",
        "many",
        "flood",
        "target",
        "endless-target",
        "blank",
        "trailer",
        "extension",
        "trailers",
    ],
)
def test_a_flood_is_answered_at_its_cap(small: Ports, request_bytes: bytes, status: int) -> None:
    """Headers, targets, trailers and framing over the caps are answered 431 or 414, however much is sent."""
    with connected(small.public) as wire:
        wire.send(request_bytes)
        answer = wire.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (status, "UNSUPPORTED", "close")


def test_what_is_just_within_the_caps_is_served(small: Ports) -> None:
    """The caps refuse nothing that they allow, and count each request of a connection anew."""
    with connected(small.public) as wire:
        for _ in range(5):
            wire.request("GET /hello?" + "a" * 990, *(f"X-{number}: {'a' * 100}" for number in range(19)))
            assert wire.answer().body == b"hello\n"


def test_tiny_chunks_are_no_flood(small: Ports) -> None:
    """A body in chunks of one byte has more framing than bytes and is still taken."""
    with connected(small.public) as wire:
        wire.request("PUT /take", "Transfer-Encoding: chunked")
        for _ in range(20):
            wire.send(b"1\r\na\r\n" * 1000)
        wire.send(b"0\r\n\r\n")
        assert wire.answer().body == b"20000\n"
