"""What is sent to a registry, and what comes back."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from entrepot.client.errors import LyingRegistry
from entrepot.client.origins import Origin
from entrepot.client.transport.failures import failures_of
from entrepot.client.transport.rate import RateLimit
from entrepot.client.transport.scopes import Scope

ERROR_BYTES_AT_MOST: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries; ``chunks`` gives it from the start each time it is called."""

    size: int
    chunks: Callable[[], AsyncIterator[bytes]]
    media_type: str = "application/octet-stream"

    @classmethod
    def of(cls, content: bytes, media_type: str) -> "Body":
        """Content that is in memory."""

        async def whole() -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  the type of all bodies
            yield content

        return cls(len(content), whole, media_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to an origin."""

    method: str
    origin: Origin
    target: str
    """A path from ``/v2/`` with its query, or an absolute URL that the origin gave."""
    subject: str
    """What it is about, for errors."""
    expected: frozenset[int] = frozenset({200})
    """The statuses that are no error."""
    scopes: frozenset[Scope] = frozenset()
    """What a token must allow for it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    is_retried: bool = True
    """Whether failures are tried again here; False where only the caller knows what is to be sent next."""
    is_anonymous: bool = False
    """Whether it must carry no credentials but those in ``headers``, which then go to the target alone."""
    is_outer: bool = False
    """Whether it may go to addresses of the public internet only."""


class Answer:
    """An answer whose body has not been read yet."""

    def __init__(self, response: aiohttp.ClientResponse, subject: str, rate: RateLimit, *, is_foreign: bool) -> None:
        self._response = response
        self._subject = subject
        self._rate = rate
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = str(response.url)
        self.is_foreign = is_foreign
        """Whether it came from where the origin sent us."""

    @property
    def host(self) -> str:
        """Who answered, after all redirects."""
        return self._response.url.authority

    @property
    def size(self) -> int | None:
        """``Content-Length``, None if there is none."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # ruff: ignore[magic-value-comparison]  as int64

    def fields(self, name: str) -> list[str]:
        """The values of every field of this name."""
        return self._response.headers.getall(name, [])

    async def read(self, at_most: int) -> bytes:
        """The whole body; raises LyingRegistry for one that has more bytes."""
        parts: list[bytes] = []
        length = 0
        async for chunk in self.chunks():
            length += len(chunk)
            if length > at_most:
                evidence = f"more than {at_most} bytes from {self.host}"
                raise LyingRegistry(self._subject, reason="too-long", evidence=[evidence], at_most=at_most)
            parts.append(chunk)
        return b"".join(parts)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes; raises NetworkFailure where it breaks off or stands still."""
        with failures_of(self._subject, self.host):
            async with contextlib.aclosing(self._rate.over(self._pieces())) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """As they came from the socket: whatever joins them copies them."""
        content = self._response.content
        while not content.at_eof():
            piece, _ = await content.readchunk()
            if piece:
                yield piece
