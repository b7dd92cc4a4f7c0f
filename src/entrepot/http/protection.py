"""Response headers that keep browsers from doing more with an answer than show it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer: content that somebody pushed is never run, framed, or guessed to be of another type."""

_RAW: Final = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in SECURITY_HEADERS.items()]


class Protected:
    """ASGI middleware that adds ``SECURITY_HEADERS`` to each answer, but those that the answer has itself.

    With ``hsts`` browsers are told over TLS to come back over TLS only, for so long (RFC 6797); zero says nothing.
    """

    def __init__(self, app: ASGIApp, hsts: timedelta = timedelta(0)) -> None:
        self._app = app
        self._strict = [(b"strict-transport-security", b"max-age=%d" % hsts.total_seconds())] if hsts else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        added = _RAW + self._strict if scope.get("scheme") == "https" else _RAW

        async def protecting(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                names = {name.lower() for name, _ in own}
                missing = [header for header in added if header[0] not in names]
                message = {**message, "headers": [*own, *missing]}
            await send(message)

        await self._app(scope, receive, protecting)
