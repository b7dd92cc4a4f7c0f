"""Request bodies, from a client that is played."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from entrepot.http.bodies import PacedBodies, chunks, content_length, read_body
from entrepot.http.errors import ClientGone
from entrepot.http.limits import Limits
from entrepot.oci.errors import BlobTooLarge, ManifestTooLarge, RequestInvalid, RequestTimeout

GONE: Message = {"type": "http.disconnect"}


def piece(body: bytes, *, more: bool = True) -> Message:
    """A piece of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def received(messages: Iterable[Message]) -> Receive:
    """A client that sends these and then nothing."""
    left = iter(messages)

    async def receive() -> Message:
        for message in left:
            return message
        return await asyncio.Future()

    return receive


def request_of(*messages: Message, length: str | None = None) -> Request:
    """A request with this body."""
    headers = [] if length is None else [(b"content-length", length.encode("latin-1"))]
    return Request({"type": "http", "method": "PUT", "headers": headers}, received(messages))


async def test_a_body_comes_in_pieces() -> None:
    """The pieces arrive in order, without empty ones."""
    request = request_of(piece(b"a"), piece(b""), piece(b"bc"), piece(b"", more=False))
    assert [found async for found in chunks(request)] == [b"a", b"bc"]


async def test_a_client_that_leaves_is_told_from_the_end() -> None:
    """A body that breaks off raises ClientGone after the pieces that did arrive."""
    arriving = chunks(request_of(piece(b"a"), GONE, length="3"))
    assert await anext(arriving) == b"a"
    with pytest.raises(ClientGone):
        await anext(arriving)


async def test_a_declared_length_is_refused_before_reading() -> None:
    """A declared length over the cap raises at once, though nothing of the body has come."""
    with pytest.raises(ManifestTooLarge) as refused:
        await asyncio.wait_for(read_body(request_of(length="1001"), at_most=1000), 5)
    assert refused.value.detail == {"limit": 1000}


async def test_an_undeclared_length_is_refused_at_the_cap() -> None:
    """A body that grows past the cap raises with the piece that passes it."""
    request = request_of(piece(b"x" * 600), piece(b"x" * 600), GONE)
    with pytest.raises(BlobTooLarge):
        await read_body(request, at_most=1000, too_large=BlobTooLarge)


async def test_a_body_of_exactly_the_cap_is_taken() -> None:
    """The cap itself is allowed."""
    assert await read_body(request_of(piece(b"x" * 1000, more=False), length="1000"), at_most=1000) == b"x" * 1000


@pytest.mark.parametrize("value", ["-1", "+1", "1.0", "0x1", "", "1 ", "\u00b2"])
def test_lengths_are_digits(value: str) -> None:
    """Anything but ASCII digits raises RequestInvalid."""
    with pytest.raises(RequestInvalid):
        content_length(request_of(length=value))


async def never(message: Message) -> None:  # ruff: ignore[unused-async]  ASGI's form
    """Nothing may be sent."""
    raise AssertionError(message)


async def _paced(receive: Receive, limits: Limits) -> bytes:
    """Read a body through the minimum rate."""
    found = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(b"".join([piece async for piece in chunks(Request(scope, receive))]))

    await PacedBodies(application, limits)({"type": "http", "method": "PUT", "headers": []}, receive, never)
    return found[0]


HURRIED = Limits(minimum_rate=100, rate_window=timedelta(seconds=0.2))


async def test_a_stalled_body_times_out() -> None:
    """A client that stops raises RequestTimeout when the window is over."""
    with pytest.raises(RequestTimeout):
        await asyncio.wait_for(_paced(received([piece(b"abc")]), HURRIED), 10)


async def test_a_trickling_body_times_out() -> None:
    """Single bytes do not buy time: the rate counts, not the activity."""

    async def trickle() -> Message:
        await asyncio.sleep(0.01)
        return piece(b"x")

    with pytest.raises(RequestTimeout):
        await asyncio.wait_for(_paced(trickle, Limits(minimum_rate=10_000, rate_window=timedelta(seconds=0.2))), 10)


async def test_a_steady_body_may_take_longer_than_the_window() -> None:
    """A client that keeps the rate up is never cut, however long it takes."""
    left = iter([piece(b"x" * 20, more=count < 30) for count in range(31)])

    async def steady() -> Message:
        await asyncio.sleep(0.02)
        return next(left)

    assert len(await _paced(steady, HURRIED)) == 620


async def test_a_complete_body_is_no_longer_timed() -> None:
    """Waiting for the client to leave, while its answer is made, is not a slow body."""
    limits = Limits(minimum_rate=100, rate_window=timedelta(seconds=0.05))
    receive = received([piece(b"x", more=False)])
    left: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.2)
        left.append(GONE)

    await PacedBodies(application, limits)({"type": "http", "method": "PUT", "headers": []}, receive, never)
    assert left
