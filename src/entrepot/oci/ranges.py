"""Byte ranges of requests (RFC 9110 section 14) and of chunks (distribution spec, "Pushing a blob in chunks")."""

import re
from dataclasses import dataclass
from typing import Final

from entrepot.oci.errors import BlobUploadInvalid, RangeInvalid, UploadRangeInvalid

RANGES_AT_MOST: Final = 64  # more in one request are an attack or a mistake; the whole content is cheaper to send
_OFFSET_AT_MOST = 2**63 - 1
_OFFSET_DIGITS = len(str(_OFFSET_AT_MOST))
_SHOWN = 80  # characters of a refused header that are shown back

_RANGE_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
_CONTENT_RANGE = re.compile(r"(?:bytes[ \t]+)?([0-9]+)-([0-9]+)", re.IGNORECASE)
_CONTENT_SIZE = re.compile(r"[0-9]+|\*")


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """Bytes ``start`` up to but not including ``stop``."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The value of ``Content-Range`` for content of ``size`` bytes (RFC 9110 section 14.4)."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """The bytes of an upload that a chunk says it has: ``start`` up to but not including ``stop``, at least one."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes the chunk must have."""
        return self.stop - self.start


def parse_ranges(header: str, size: int) -> tuple[ByteRange, ...] | None:
    """The bytes that a ``Range`` header asks of content of ``size`` bytes, in the order it asks; None to send it all.

    It is ignored when it is malformed, of another unit, of more than 64 ranges, of ranges that together are longer than
    the content (RFC 9110 section 14.2 lets a server ignore those that overlap), or for the start or end of empty
    content. Ranges that overlap or touch become one (section 15.3.7.2). Raises RangeInvalid with ``size`` when a range
    ends before it starts or none lies within the content.
    """
    unit, separator, text = header.partition("=")
    if not separator or unit.strip(" \t").lower() != "bytes":
        return None
    specs = [part.strip(" \t") for part in text.split(",")]
    matches = [_RANGE_SPEC.fullmatch(spec) for spec in specs if spec]
    if not 0 < len(matches) <= RANGES_AT_MOST:
        return None
    limits: list[tuple[int | None, int | None]] = []
    for match in matches:
        if match is None or match[0] == "-":
            return None
        limits.append((_offset(match[1]) if match[1] else None, _offset(match[2]) if match[2] else None))
    if any(first is not None and last is not None and last < first for first, last in limits):
        raise RangeInvalid(size=size)
    if size == 0 and any(first == 0 or (first is None and last != 0) for first, last in limits):
        return None
    wanted = [_resolved(first, last, size) for first, last in limits]
    found = [byte_range for byte_range in wanted if byte_range.length > 0]
    if not found:
        raise RangeInvalid(size=size)
    if sum(byte_range.length for byte_range in found) > size:
        return None
    return _coalesced(found)


def parse_content_range(header: str) -> ChunkRange:
    """Read a chunk's ``Content-Range``: the specification's ``<start>-<end>``, or ``bytes <start>-<end>/<size>``.

    Raises BlobUploadInvalid for what is neither, UploadRangeInvalid (a subclass, without ``offset``) for one that ends
    before it starts, passes 2^63 - 1 or does not fit its own size.
    """
    text, separator, size_text = header.strip(" \t").partition("/")
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None or (separator and not _CONTENT_SIZE.fullmatch(size_text)):
        raise BlobUploadInvalid(reason="content-range", content_range=header[:_SHOWN])
    start, stop = _offset(match[1]), _offset(match[2]) + 1
    fits = not size_text or size_text == "*" or stop <= _offset(size_text)
    if start >= stop or stop > _OFFSET_AT_MOST or not fits:
        raise UploadRangeInvalid(reason="content-range", content_range=header[:_SHOWN])
    return ChunkRange(start, stop)


def _offset(digits: str) -> int:
    """The number, or one past every offset for a number that is longer than any."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _OFFSET_DIGITS else _OFFSET_AT_MOST + 1


def _resolved(first: int | None, last: int | None, size: int) -> ByteRange:
    """The part of the content that one range names; it may be empty."""
    if first is None:
        return ByteRange(size - min(last or 0, size), size)
    return ByteRange(min(first, size), size if last is None else min(last + 1, size))


def _coalesced(ranges: list[ByteRange]) -> tuple[ByteRange, ...]:
    """Join ranges that overlap or touch; each stands where the first of its parts stood."""
    by_start = sorted(enumerate(ranges), key=lambda placed: placed[1].start)
    place, joined = by_start[0]
    result: dict[int, ByteRange] = {}
    for other_place, other in by_start[1:]:
        if other.start <= joined.stop:
            place, joined = min(place, other_place), ByteRange(joined.start, max(joined.stop, other.stop))
        else:
            result[place] = joined
            place, joined = other_place, other
    result[place] = joined
    return tuple(byte_range for _, byte_range in sorted(result.items()))
