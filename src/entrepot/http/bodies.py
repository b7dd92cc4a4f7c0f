"""Request bodies: streamed or read whole, never faster than they are wanted and never slower than the minimum rate."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.http.errors import ClientGone
from entrepot.http.limits import Limits
from entrepot.oci.errors import (
    BlobTooLarge,
    ManifestTooLarge,
    RegistryError,
    RequestInvalid,
    RequestTimeout,
)


def content_length(request: Request) -> int | None:
    """The declared length of the body in bytes; None when it is not declared (chunked).

    Raises RequestInvalid for anything but ASCII digits (RFC 9110 section 8.6).
    """
    value = request.headers.get("content-length")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise RequestInvalid(reason="content-length", value=value[:64])
    return int(value)


async def chunks(
    request: Request, *, at_most: int | None = None, too_large: type[RegistryError] = BlobTooLarge
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, in pieces of some 64 to 256 KiB, none of them empty.

    Raises ``too_large`` before reading when the declared length is over ``at_most`` bytes, else as soon as that many
    are passed; RequestTimeout below the minimum rate; ClientGone when the body ends before its declared length.
    """
    _refuse_over(content_length(request), at_most, too_large)
    arrived = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        body: bytes = message.get("body", b"")
        arrived += len(body)
        _refuse_over(arrived, at_most, too_large)
        if body:
            yield body


async def read_body(request: Request, *, at_most: int, too_large: type[RegistryError] = ManifestTooLarge) -> bytes:
    """The whole body of at most ``at_most`` bytes; raises as ``chunks`` does."""
    pieces = [piece async for piece in chunks(request, at_most=at_most, too_large=too_large)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _refuse_over(length: int | None, at_most: int | None, too_large: type[RegistryError]) -> None:
    if length is not None and at_most is not None and length > at_most:
        raise too_large(limit=at_most)


class PacedBodies:
    """ASGI middleware that raises RequestTimeout out of ``receive`` when a body comes slower than the minimum rate.

    Only time spent waiting for the client counts, so a slow store cuts nobody off.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            receive = _Pace(receive, self._limits).receive
        await self._app(scope, receive, send)


class _Pace:
    """Each ``minimum_rate`` x ``rate_window`` bytes buy a fresh window of waiting."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._window = limits.rate_window.total_seconds()
        self._quota = limits.minimum_rate * self._window
        self._waited = 0.0
        self._arrived = 0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._window - self._waited):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout from None
        self._waited += clock() - began
        self._arrived += len(message.get("body", b""))
        if self._arrived >= self._quota:
            self._waited, self._arrived = 0.0, 0
        self._complete = not message.get("more_body", False)
        return message
