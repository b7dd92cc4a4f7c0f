"""Writing a blob into a file: several parts at once, a journal to go on from, a name only when the digest is right."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final

from entrepot.client.errors import ClientError, DigestMismatch
from entrepot.client.files import file_errors, open_in_folder, write_file
from entrepot.client.progress import Event, Progress, Stage
from entrepot.client.targets.assembling import UNIT_BYTES, Assembly, PartWriter
from entrepot.client.targets.port import BlobContent

_WAIT: Final = 0.2  # seconds between looks at who else writes the same blob
_LOOK: Final = 0.1  # seconds between looks at how fast one connection alone is
_FAST: Final = 160 * 1024 * 1024  # bytes per second; beyond it more connections only take time from each other


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
            data = await self._locked(stack)
            if data is None:
                return
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
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.replace(self._path)
            self._journal.unlink(missing_ok=True)

    async def _locked(self, stack: contextlib.ExitStack) -> int | None:
        """The file of what is there so far, which nobody else writes; None if somebody else has completed the blob."""
        while True:
            with contextlib.ExitStack() as attempt:
                data = _opened(attempt, self._partial)
                await _lock(data)
                # Whoever held the lock before may have put the file in its place, where it is not to be touched.
                if _is_still_at(data, self._partial):
                    stack.push(attempt.pop_all())
                    return data
            if self._path.is_file() and self._path.stat().st_size == self._descriptor.size:
                return None

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
            write_file(self._path, bytes(content), self._partial.parent, is_flushed=False)

    def _resumed(self, data: int, journal: int) -> bytearray:
        """Which units are there already, a byte for each."""
        done = bytearray(os.pread(journal, self._units, 0))
        needed = min(len(done.rstrip(b"\0")) * UNIT_BYTES, self._descriptor.size)
        if os.fstat(journal).st_size != self._units or os.fstat(data).st_size < needed:
            self._clear(data, journal)
            done = bytearray(self._units)
        return done

    def _clear(self, data: int, journal: int) -> None:
        if os.fstat(data).st_size:  # ext4 writes what was cut to nothing to the disk at once, even if it was empty
            os.ftruncate(data, 0)
        os.ftruncate(journal, 0)
        os.ftruncate(journal, self._units)

    def _forget(self) -> None:
        self._partial.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    async def _fetched(self, data: int, journal: int, done: bytearray) -> None:
        """Fetch the missing units and check the whole: one part after the other, several at once where that is slow."""
        size, algorithm = self._descriptor.size, self._descriptor.digest.algorithm.value
        async with Assembly(data, journal, done, size, algorithm) as assembly:
            position = assembly.position
            self._progress(Event(Stage.STARTED, self._descriptor, position))

            async def fetch_parts() -> None:
                nonlocal position
                for start, stop in assembly.parts():
                    writer = PartWriter(assembly, start, stop)
                    try:
                        async with contextlib.aclosing(self._content.chunks(start, stop)) as chunks:
                            async for chunk in chunks:
                                await writer.write(chunk)
                                position += len(chunk)
                                self._progress(Event(Stage.MOVED, self._descriptor, position))
                    finally:
                        await writer.flush()

            async def help_if_slow() -> None:
                before = position
                await asyncio.sleep(_LOOK)
                while position - before >= _FAST * _LOOK:
                    assembly.hurry()
                    before = position
                    await asyncio.sleep(_LOOK)
                for _ in range(self._content.parts_at_most - 1):
                    group.create_task(fetch_parts())

            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fetch_parts())
                    helping = group.create_task(help_if_slow())
                    encoded = await assembly.hashed()
                    helping.cancel()
            except* (ClientError, OSError) as failures:
                raise first_of(failures) from None
            self._check(encoded, size)
            await assembly.settled()

    def _check(self, encoded: str, length: int) -> None:
        digest = self._descriptor.digest
        if encoded == digest.encoded and length == self._descriptor.size:
            return
        found = f"{digest.algorithm.value}:{encoded}"
        where = "/".join(self._content.repository or ())
        evidence = [f"wanted {digest}, {self._descriptor.size} bytes", f"got {found}, {length} bytes", where]
        raise DigestMismatch(str(digest), evidence=evidence, expected=str(digest), found=found)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of several that happened at once."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _opened(stack: contextlib.ExitStack, path: Path) -> int:
    descriptor = open_in_folder(path, os.O_RDWR)
    stack.callback(os.close, descriptor)
    return descriptor


async def _lock(descriptor: int) -> None:
    """Wait until nobody else writes the same blob."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_WAIT)
        else:
            return


def _is_still_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
