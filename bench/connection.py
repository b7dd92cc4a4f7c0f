"""HTTP/1.1 on a kept-alive connection, no more than the two registries answer with, at a few microseconds a request."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final, cast

from typing_extensions import override

from bench.errors import WrongAnswer

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LOCATION: Final = re.compile(rb"\r\nlocation: *([^\r]+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: the status line with the headers, and the body."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        """The status."""
        return int(self.head[9:12])

    @property
    def location(self) -> str:
        """The value of ``Location``."""
        found = _LOCATION.search(self.head)
        if found is None:
            raise WrongAnswer(f"no Location: {self.head!r}")
        return found[1].decode("ascii")


class Connection(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self._has_body = True

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to a port of 127.0.0.1."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def ask(self, *parts: bytes, has_body: bool = True) -> asyncio.Future[Answer]:
        """Send a request; ``has_body`` is false where the answer has a length and no body (HEAD)."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._has_body = has_body
        for part in parts:
            self._transport.write(part)
        return self._waiting

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._waiting is None:
            return
        head, begin = self._buffer[:end], end + 4
        if _CHUNKED.search(head):
            self._fail(f"an answer without a length: {head!r}")
            return
        length = _LENGTH.search(head)
        stop = begin + (int(length[1]) if length and self._has_body else 0)
        if len(self._buffer) < stop:
            return
        answer = Answer(head, self._buffer[begin:stop])
        self._buffer = self._buffer[stop:]
        waiting, self._waiting = self._waiting, None
        waiting.set_result(answer)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was closed: {exc}")

    def _fail(self, reason: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(WrongAnswer(reason))


def request_head(method: str, path: str, headers: dict[str, str], length: int | None = None) -> bytes:
    """The bytes of a request before its body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def require(answer: Answer, status: int, digest: str | None = None) -> None:
    """Raise WrongAnswer unless the answer has this status, and names this digest."""
    if answer.status != status:
        raise WrongAnswer(f"{status} was expected: {answer.head!r} {answer.body[:500]!r}")
    if digest is not None and digest.encode() not in answer.head:
        raise WrongAnswer(f"the digest {digest} was expected: {answer.head!r}")
