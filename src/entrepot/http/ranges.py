"""Content in whole or in parts: ranges, conditions and entity tags (RFC 9110 sections 13 and 14)."""

import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from entrepot.http.replies import StreamedReply
from entrepot.oci import ByteRange, parse_ranges

Reader: TypeAlias = Callable[[int, int], AsyncIterator[bytes]]
"""Reads the bytes from ``start`` up to but not including ``stop``; opens nothing before it is asked for a piece."""

_ENTITY_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Content:
    """Immutable bytes that a GET or HEAD is answered with; ``size`` in bytes, ``etag`` a strong tag in its quotes."""

    size: int
    media_type: str
    etag: str
    read: Reader


def in_memory(data: bytes) -> Reader:
    """A reader of bytes that are at hand, as those of a manifest."""

    async def read(start: int, stop: int) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  readers are asynchronous
        yield data[start:stop]

    return read


def content_reply(request: Request, content: Content, headers: Mapping[str, str]) -> Response:
    """The answer to a GET or HEAD: 200, 206 with one range or ``multipart/byteranges`` with several, or 304.

    ``headers`` go with all of them. HEAD has the headers of a GET without ``Range``, for ranges are defined for GET
    alone (RFC 9110 section 14.2). A date in ``If-Range`` never matches, as nothing here has a date. Raises RangeInvalid
    with the size when no range lies within the content.
    """
    common = {**headers, "ETag": content.etag, "Accept-Ranges": "bytes"}
    if _matches(request.headers.getlist("if-none-match"), content.etag):
        return Response(status_code=304, headers=common)
    ranges = _ranges_of(request, content)
    if ranges is None:
        common["Content-Type"] = content.media_type
        return StreamedReply(content.read(0, content.size), content.size, headers=common)
    if len(ranges) == 1:
        [single] = ranges
        common["Content-Type"] = content.media_type
        common["Content-Range"] = single.content_range(content.size)
        return StreamedReply(content.read(single.start, single.stop), single.length, status=206, headers=common)
    return _multipart(content, ranges, common)


def _ranges_of(request: Request, content: Content) -> tuple[ByteRange, ...] | None:
    header = request.headers.get("range")
    if header is None or request.method != "GET":
        return None
    if request.headers.get("if-range", content.etag).strip() != content.etag:
        return None
    return parse_ranges(header, content.size)


def _matches(if_none_match: list[str], etag: str) -> bool:
    """Whether the condition names this tag, compared weakly (RFC 9110 section 13.1.2)."""
    return any(value.strip() == "*" or etag in _ENTITY_TAG.findall(value) for value in if_none_match)


def _multipart(content: Content, ranges: tuple[ByteRange, ...], common: dict[str, str]) -> Response:
    boundary = secrets.token_hex(16)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {content.media_type}\r\n"
        f"Content-Range: {part.content_range(content.size)}\r\n\r\n".encode("latin-1")
        for part in ranges
    ]
    end = f"\r\n--{boundary}--\r\n".encode("ascii")

    async def pieces() -> AsyncIterator[bytes]:
        for head, part in zip(heads, ranges, strict=True):
            yield head
            async for piece in content.read(part.start, part.stop):
                yield piece
        yield end

    length = sum(map(len, heads)) + sum(part.length for part in ranges) + len(end)
    common["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    return StreamedReply(pieces(), length, status=206, headers=common)
