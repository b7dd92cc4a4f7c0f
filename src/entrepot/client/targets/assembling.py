"""A file that is put together from parts: written anywhere, noted in a journal, hashed from its start."""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Final, Self

from entrepot.client.files import ended, in_thread

UNIT_BYTES: Final = 1024 * 1024
"""What the journal counts in: at most so many bytes of each part are fetched again after a crash."""
PART_UNITS: Final = 16
_LONGEST_PART_UNITS: Final = 128
_LONGEST_BATCH_BYTES: Final = 4 * UNIT_BYTES
_SYNC_BYTES: Final = 64 * 1024 * 1024
"""After so many bytes the disk is told to begin, so that little is left to wait for at the end."""
_DONE: Final = b"\x01"


class Assembly:
    """The file under way: which units it has, which are handed out, and how far it is hashed."""

    def __init__(self, data: int, journal: int, done: bytearray, size: int, algorithm: str) -> None:
        """``data`` and ``journal`` are descriptors of open files; ``done`` has a byte for each unit."""
        self._data = data
        self._journal = journal
        self._done = done
        self._size = size
        self._hash = hashlib.new(algorithm)
        self._hashed = 0
        self._is_hashing = False
        self._written = 0
        self._is_in_order = not any(done)
        self._changed = asyncio.Event()
        self._next = 0
        self._part_units = PART_UNITS
        is_one_part = len(done) <= PART_UNITS
        self.batch_bytes = _LONGEST_BATCH_BYTES if is_one_part else UNIT_BYTES
        """How much of a part is collected before it is written."""
        self._unsynced = 0
        self._syncing: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        # The descriptor must not be closed under it.
        if self._syncing is not None:
            await ended(self._syncing)

    @property
    def position(self) -> int:
        """How many bytes are there, in order or not."""
        whole = sum(self._done) * UNIT_BYTES
        return whole if not self._done or not self._done[-1] else whole - len(self._done) * UNIT_BYTES + self._size

    def hurry(self) -> None:
        """Hand out twice as much at once, and write more at once: one connection alone is fast."""
        self._part_units = min(self._part_units * 2, _LONGEST_PART_UNITS)
        self.batch_bytes = _LONGEST_BATCH_BYTES

    def parts(self) -> Iterator[tuple[int, int]]:
        """Runs of missing bytes, each handed out once, however many ask."""
        while True:
            while self._next < len(self._done) and self._done[self._next]:
                self._next += 1
            first = stop = self._next
            while stop < len(self._done) and not self._done[stop] and stop - first < self._part_units:
                stop += 1
            if stop == first:
                return
            self._next = stop
            yield first * UNIT_BYTES, min(stop * UNIT_BYTES, self._size)

    async def write(self, chunks: Iterable[bytes | memoryview], start: int, stop: int) -> None:
        """Write whole units; what comes next in the file is hashed at once, all else when it is its turn."""
        is_next = start == self._hashed and not self._is_hashing
        self._is_in_order = self._is_in_order and start == self._written
        self._written = stop
        if is_next:
            self._is_hashing = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(in_thread(self._write, chunks, start))
                if is_next:
                    await in_thread(self._update, chunks)
                    self._hashed = stop
        finally:
            if is_next:
                self._is_hashing = False
        for unit in range(start // UNIT_BYTES, -(-stop // UNIT_BYTES)):
            # The journal says so after the bytes.
            os.pwrite(self._journal, _DONE, unit)
            self._done[unit] = 1
        self._changed.set()
        self._unsynced += stop - start
        if self._unsynced >= _SYNC_BYTES and not self._is_in_order:
            self._sync()

    async def hashed(self) -> str:
        """The digest of the whole file, hashing what no writer has, as it lies in the file."""
        while self._hashed < self._size:
            unit = self._hashed // UNIT_BYTES
            if self._is_hashing or not self._done[unit]:
                self._changed.clear()
                await self._changed.wait()
                continue
            stop = unit + 1
            while stop < len(self._done) and self._done[stop] and stop - unit < PART_UNITS:
                stop += 1
            end = min(stop * UNIT_BYTES, self._size)
            self._is_hashing = True
            try:
                await in_thread(self._read, self._hashed, end)
            finally:
                self._is_hashing = False
            self._hashed = end
        return self._hash.hexdigest()

    async def settled(self) -> None:
        """Make sure that a file of the right length has the right content, whenever the power fails; raises OSError.

        One that was written in order is shorter until the disk has all of it (ext4, "data=ordered"; XFS, Btrfs alike).
        """
        if self._is_in_order:
            return
        if self._syncing is not None:
            await self._syncing
        await in_thread(os.fsync, self._data)

    def _sync(self) -> None:
        """Let the disk begin, unless it is busy with what came before; raises OSError for that."""
        if self._syncing is not None:
            if not self._syncing.done():
                return
            self._syncing.result()
        self._unsynced = 0
        self._syncing = asyncio.get_running_loop().run_in_executor(None, os.fdatasync, self._data)

    def _write(self, chunks: Iterable[bytes | memoryview], start: int) -> None:
        position = start
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                written = os.pwrite(self._data, view, position)
                position += written
                view = view[written:]

    def _update(self, chunks: Iterable[bytes | memoryview]) -> None:
        for chunk in chunks:
            self._hash.update(chunk)

    def _read(self, start: int, stop: int) -> None:
        position = start
        while position < stop:
            content = os.pread(self._data, min(UNIT_BYTES, stop - position), position)
            if not content:
                return
            self._hash.update(content)
            position += len(content)


class PartWriter:
    """Writes one part as it comes: a unit or more at a time, while the next one is received."""

    def __init__(self, assembly: Assembly, start: int, stop: int) -> None:
        self._assembly = assembly
        self._position = start
        self._stop = stop
        self._chunks: list[bytes | memoryview] = []
        self._length = 0
        self._writing: asyncio.Future[None] | None = None

    async def write(self, chunk: bytes) -> None:
        """Take some bytes; raises OSError for those that came before."""
        self._chunks.append(chunk)
        self._length += len(chunk)
        if self._length >= self._assembly.batch_bytes:
            await self._settle()
            self._begin(self._length - self._length % UNIT_BYTES)

    async def flush(self) -> None:
        """Write the last bytes, if the unit that they belong to is whole, and wait for all; raises OSError."""
        await self._settle()
        if self._length and self._position + self._length == self._stop:
            self._begin(self._length)
            await self._settle()

    def _begin(self, length: int) -> None:
        """Start writing the first bytes of those that are here."""
        taken, self._chunks, rest = self._chunks, [], self._length - length
        if rest:
            last = memoryview(taken[-1])
            taken[-1], self._chunks = last[:-rest], [last[-rest:]]
        self._length = rest
        start, self._position = self._position, self._position + length
        self._writing = asyncio.ensure_future(self._assembly.write(taken, start, self._position))

    async def _settle(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing
