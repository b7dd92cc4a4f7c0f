"""Writing a blob into a file: several parts at once, a journal to go on from, a name only when the digest is right."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entrepot.client.errors import ClientError, DigestMismatch
from entrepot.client.files import file_errors, in_thread
from entrepot.client.progress import Event, Progress, Stage
from entrepot.client.targets.port import BlobContent

UNIT_BYTES: Final = 1024 * 1024
"""What the journal counts in: at most so many bytes of each part are fetched again after a crash."""
PART_BYTES: Final = 16 * 1024 * 1024
_PART_UNITS: Final = PART_BYTES // UNIT_BYTES
_DONE: Final = b"\x01"
_WAIT: Final = 0.2  # seconds between looks at who else writes the same blob


class Receiving:
    """A blob on its way into ``path``; ``folder`` is where it is kept until it is complete."""

    def __init__(self, content: BlobContent, path: Path, folder: Path, progress: Progress) -> None:
        descriptor = content.descriptor
        name = f"{descriptor.digest.algorithm.value}-{descriptor.digest.encoded}"
        self._content = content
        self._descriptor = descriptor
        self._path = path
        self._partial = folder / f"{name}.partial"
        self._journal = folder / f"{name}.journal"
        self._progress = progress
        self._units = -(-descriptor.size // UNIT_BYTES)

    async def run(self) -> None:
        """Fetch what is missing, check all of it, put it in its place.

        Raises DigestMismatch, and keeps nothing then; DiskFull and NetworkFailure, and keeps what is there.
        """
        if self._descriptor.size <= UNIT_BYTES:
            await self._run_small()
            return
        kept = f"{self._partial} is kept, and gone on with"
        with file_errors(self._partial, kept=kept), contextlib.ExitStack() as stack:
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            data = _opened(stack, self._partial)
            await _locked(data)
            journal = _opened(stack, self._journal)
            for attempt in range(2):
                done = self._resumed(data, journal)
                was_resumed = any(done)
                try:
                    await self._fetched(data, journal, done)
                    break
                except DigestMismatch:
                    # What an earlier process left may be what is wrong; without it the error stands.
                    self._clear(data, journal)
                    if attempt or not was_resumed:
                        self._forget()
                        raise
            await in_thread(os.fsync, data)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.replace(self._path)
            self._journal.unlink(missing_ok=True)

    async def _run_small(self) -> None:
        """Fetch a blob of up to one unit through memory."""
        content = bytearray()
        self._progress(Event(Stage.STARTED, self._descriptor))
        async with contextlib.aclosing(self._content.chunks()) as chunks:
            async for chunk in chunks:
                content += chunk
                self._progress(Event(Stage.MOVED, self._descriptor, len(content)))
        found = hashlib.new(self._descriptor.digest.algorithm.value, content)
        self._check(found.hexdigest(), len(content))
        with file_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            partial = self._partial.with_suffix(f".{os.getpid()}.partial")
            partial.write_bytes(content)
            partial.replace(self._path)

    def _resumed(self, data: int, journal: int) -> bytearray:
        """Which units are there already, a byte for each; makes the files as long as they have to be."""
        size = self._descriptor.size
        is_ours = os.fstat(data).st_size == size and os.fstat(journal).st_size == self._units
        if not is_ours:
            self._clear(data, journal)
        return bytearray(os.pread(journal, self._units, 0))

    def _clear(self, data: int, journal: int) -> None:
        os.ftruncate(journal, 0)
        os.ftruncate(journal, self._units)
        os.ftruncate(data, self._descriptor.size)

    def _forget(self) -> None:
        self._partial.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    async def _fetched(self, data: int, journal: int, done: bytearray) -> None:
        """Fetch the missing units, several runs of them at once, and check the whole."""
        transfer = _Transfer(data, journal, done, self._descriptor.size)
        position = sum(self._unit_length(unit) for unit, is_done in enumerate(done) if is_done)
        self._progress(Event(Stage.STARTED, self._descriptor, position))
        runs = iter(list(_missing_runs(done)))

        async def fetch_runs() -> None:
            nonlocal position
            for first, stop in runs:
                begin, end = first * UNIT_BYTES, min(stop * UNIT_BYTES, self._descriptor.size)
                writer = transfer.writer(begin)
                try:
                    async with contextlib.aclosing(self._content.chunks(begin, end)) as chunks:
                        async for chunk in chunks:
                            await writer.write(chunk)
                            position += len(chunk)
                            self._progress(Event(Stage.MOVED, self._descriptor, position))
                finally:
                    await writer.flush()

        try:
            async with asyncio.TaskGroup() as group:
                check = group.create_task(transfer.hashed(self._descriptor.digest.algorithm.value))
                fetches = [group.create_task(fetch_runs()) for _ in range(max(1, self._content.parts_at_most))]
                del fetches
        except* (ClientError, OSError) as failures:
            raise first_of(failures) from None
        self._check(check.result(), self._descriptor.size)

    def _unit_length(self, unit: int) -> int:
        return min(UNIT_BYTES, self._descriptor.size - unit * UNIT_BYTES)

    def _check(self, encoded: str, length: int) -> None:
        digest = self._descriptor.digest
        if encoded == digest.encoded and length == self._descriptor.size:
            return
        found = f"{digest.algorithm.value}:{encoded}"
        where = "/".join(self._content.repository or ())
        evidence = [f"wanted {digest}, {self._descriptor.size} bytes", f"got {found}, {length} bytes", where]
        raise DigestMismatch(str(digest), evidence=evidence, expected=str(digest), found=found)


class _Transfer:
    """The file under way: which units it has, and the hash that follows the first gap."""

    def __init__(self, data: int, journal: int, done: bytearray, size: int) -> None:
        self.data = data
        self.size = size
        self._journal = journal
        self._done = done
        self._changed = asyncio.Event()

    def writer(self, start: int) -> "_Writer":
        return _Writer(self, start)

    def mark(self, unit: int) -> None:
        """A unit is in the file; the journal says so after the bytes."""
        os.pwrite(self._journal, _DONE, unit)
        self._done[unit] = 1
        self._changed.set()

    async def hashed(self, algorithm: str) -> str:
        """Hash the file as it lies on the disk, as far as it is there without a gap, until its end."""
        found = hashlib.new(algorithm)
        unit = 0
        while unit < len(self._done):
            if not self._done[unit]:
                self._changed.clear()
                await self._changed.wait()
                continue
            stop = unit + 1
            while stop < len(self._done) and self._done[stop] and stop - unit < _PART_UNITS:
                stop += 1
            await in_thread(self._hash, found, unit * UNIT_BYTES, min(stop * UNIT_BYTES, self.size))
            unit = stop
        return found.hexdigest()

    def _hash(self, found: "hashlib._Hash", start: int, stop: int) -> None:
        position = start
        while position < stop:
            content = os.pread(self.data, min(UNIT_BYTES, stop - position), position)
            if not content:
                return
            found.update(content)
            position += len(content)


class _Writer:
    """Writes one run of units; bytes are collected, so that a thread is worth it."""

    def __init__(self, transfer: _Transfer, start: int) -> None:
        self._transfer = transfer
        self._position = start
        self._chunks: list[bytes] = []
        self._length = 0

    async def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._length += len(chunk)
        if self._length >= UNIT_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was collected and mark the units that it completes."""
        if not self._chunks:
            return
        chunks, self._chunks = self._chunks, []
        start, self._position = self._position, self._position + self._length
        self._length = 0
        await in_thread(_write_all, self._transfer.data, chunks, start)
        last = self._position
        whole = last // UNIT_BYTES if last < self._transfer.size else -(-last // UNIT_BYTES)
        for unit in range(start // UNIT_BYTES, whole):
            self._transfer.mark(unit)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of several that happened at once."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _missing_runs(done: bytearray) -> Iterator[tuple[int, int]]:
    """Runs of missing units of up to a part each, in order."""
    unit = 0
    while unit < len(done):
        if done[unit]:
            unit += 1
            continue
        stop = unit
        while stop < len(done) and not done[stop] and stop - unit < _PART_UNITS:
            stop += 1
        yield unit, stop
        unit = stop


def _write_all(descriptor: int, chunks: list[bytes], start: int) -> None:
    """Write all of them from ``start`` on; raises OSError."""
    position = start
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            written = os.pwrite(descriptor, view, position)
            position += written
            view = view[written:]


def _opened(stack: contextlib.ExitStack, path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    stack.callback(os.close, descriptor)
    return descriptor


async def _locked(descriptor: int) -> None:
    """Wait until nobody else writes the same blob."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_WAIT)
        else:
            return
