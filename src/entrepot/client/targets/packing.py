"""Tar archives as streams: every file is read when its turn comes, nothing is written twice (POSIX.1-2001, pax)."""

import contextlib
import tarfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entrepot.client.files import read_range

_BLOCK: Final = tarfile.BLOCKSIZE
_RECORD: Final = tarfile.RECORDSIZE


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an archive: a file of the disk, or content in memory."""

    name: str
    content: Path | bytes
    size: int

    @classmethod
    def of(cls, name: str, content: Path | bytes) -> "Entry":
        """An entry as large as its content is now; raises OSError."""
        return cls(name, content, content.stat().st_size if isinstance(content, Path) else len(content))

    @property
    def header(self) -> bytes:
        """Without owner and times, so that the same image makes the same archive."""
        info = tarfile.TarInfo(self.name)
        info.size = self.size
        info.mode = 0o644
        return info.tobuf(tarfile.PAX_FORMAT)


def packed_size(entries: Sequence[Entry]) -> int:
    """How many bytes the archive has."""
    return _filled(sum(len(entry.header) + _filled(entry.size, _BLOCK) for entry in entries) + 2 * _BLOCK, _RECORD)


async def packed(entries: Sequence[Entry]) -> AsyncGenerator[bytes, None]:
    """The archive's bytes; raises what ``read_range`` raises."""
    position = 0
    for entry in entries:
        yield entry.header
        if isinstance(entry.content, bytes):
            yield entry.content
        elif entry.size:
            async with contextlib.aclosing(read_range(entry.content, 0, entry.size)) as chunks:
                async for chunk in chunks:
                    yield chunk
        yield bytes(_filled(entry.size, _BLOCK) - entry.size)
        position += len(entry.header) + _filled(entry.size, _BLOCK)
    yield bytes(packed_size(entries) - position)


def _filled(size: int, unit: int) -> int:
    return -(-size // unit) * unit
