"""Replies streamed from an iterator of bytes, with their length declared."""

from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from entrepot.oci.errors import ContentDamaged


class StreamedReply(Response):
    """A response of exactly ``length`` bytes that are read while they are sent; one piece is in memory at a time.

    The first piece is read before the status is sent, so that missing content is still answered as an error. HEAD is
    answered with the same headers and reads nothing. ``pieces`` is closed whatever happens. Raises ContentDamaged when
    the content has another length than was declared, ClientGone (from ``send``) when the reader has left.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes], length: int, *, status: int = 200, headers: Mapping[str, str]
    ) -> None:
        self.status_code = status
        self.background = None
        self._pieces = pieces
        self._length = length
        self.init_headers({**headers, "Content-Length": str(length)})

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the status, the headers, and unless it is HEAD the content."""
        try:
            if scope["method"] == "HEAD":
                await self._start(send)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await self._stream(send)
        finally:
            close = getattr(self._pieces, "aclose", None)
            if close is not None:
                await close()

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _stream(self, send: Send) -> None:
        piece = await anext(self._pieces, None)
        left = self._length - len(piece or b"")
        if left < 0 or (piece is None and left):
            raise ContentDamaged(declared=self._length, reason="length")
        await self._start(send)
        while piece is not None and left > 0:
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await anext(self._pieces, None)
            left -= len(piece or b"")
        if left != 0:
            raise ContentDamaged(declared=self._length, reason="length")
        await send({"type": "http.response.body", "body": piece or b"", "more_body": False})
