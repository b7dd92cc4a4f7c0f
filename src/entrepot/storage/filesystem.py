"""Stored bytes as files: one per object, under its key from the first byte on, never renamed."""

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from entrepot.storage.chunks import MIB, batched
from entrepot.storage.errors import ObjectUnknown, StoreFull, StoreUnavailable
from entrepot.storage.files import Place, Reading, Writing, keys_below, probe
from entrepot.storage.keys import checked_key
from entrepot.storage.threads import settle

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

RESERVE = 64 * MIB  # stays free for the database beside the objects: its log and its checkpoints
_ENTRIES_REMEMBERED = 4096  # a forgotten one costs an fsync of its directory, a remembered one 150 bytes
_LISTED_AT_A_TIME = 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FilesystemBlobStore:
    """Objects as files below ``root``, a directory that exists, on a filesystem of this host.

    Several processes may share ``root``; each store belongs to one event loop. ``threads`` bounds the system calls
    that run at a time; ``reserve`` is the free space in bytes below which nothing more is appended. With ``marker``,
    the name of a file in ``root``, an object is absent only while that file is there: a mount point whose disk is gone
    is an empty directory. Errors carry the errno's name, never a path.
    """

    def __init__(self, root: Path, *, threads: int = 8, reserve: int = RESERVE, marker: str | None = None) -> None:
        self._root = root.absolute()
        self._witness = self._root if marker is None else self._root / marker
        self._reserve = reserve
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="blob-store")
        self._entries_synced: dict[str, None] = {}
        self._shards_synced: set[Path] = set()

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Write ``chunks`` from byte ``offset`` on, in one thread hop per MiB.

        When this returns or raises, no thread is writing any more. When less than the reserve is free, StoreFull
        is raised before anything is cut off or written, and later at every 64 MiB; an append of no bytes, which only
        cuts off, is never refused for that.
        """
        place = self._place(key)
        _check_range(0, offset)
        if offset == 0:
            self._entries_synced.pop(key, None)
        writing = Writing(place, offset, self._reserve)
        try:
            async with aclosing(batched(chunks)) as batches:
                async for batch in batches:
                    await self._settled(writing.write, batch)
            return await self._settled(writing.finish)
        except (StoreFull, StoreUnavailable, ObjectUnknown):
            await self._settled(writing.close)
            raise
        except BaseException:
            # The object exists from an append at 0 on, and is cut off, also when no byte came.
            with suppress(StoreFull, StoreUnavailable, ObjectUnknown):
                await self._settled(writing.finish)
            raise

    async def sync(self, key: str) -> None:
        """Flush the object; its directory once per new object; the parents once per shard and process.

        The parents whoever made them, because another process may have made and not yet flushed them. After an
        error nothing since the last sync can be believed, even if the next one succeeds: append again from there.
        """
        place = self._place(key)
        directories = [] if key in self._entries_synced else [place.shard]
        if place.shard not in self._shards_synced:
            directories += [place.shard.parent, self._root]
        await self._run(place.flush, directories)
        self._shards_synced.add(place.shard)
        self._entries_synced[key] = None
        if len(self._entries_synced) > _ENTRIES_REMEMBERED:
            del self._entries_synced[next(iter(self._entries_synced))]

    async def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes ``start`` to ``stop`` in one thread hop per piece, opening and closing included.

        Raises ObjectUnknown before the first piece also when the object is shorter than ``stop``.
        """
        _check_range(start, stop)
        reading = Reading(self._place(key), start, stop)
        try:
            while not reading.ended:
                piece = await self._settled(reading.piece)
                if piece:
                    yield piece
        finally:
            if reading.is_open:
                await self._settled(reading.close)

    async def size(self, key: str) -> int:
        """The object's length in bytes; raises ObjectUnknown."""
        return await self._run(self._place(key).size)

    async def delete(self, key: str) -> None:
        """Remove the object; no error if there is none. A power cut soon after may bring it back."""
        place = self._place(key)
        self._entries_synced.pop(key, None)
        await self._run(place.delete)

    async def keys(self) -> AsyncGenerator[str, None]:
        """Every key, 1024 per thread hop."""
        listing = keys_below(self._root, self._witness)
        try:
            while keys := await self._settled(_first, listing):
                for key in keys:
                    yield key
        finally:
            await self._settled(listing.close)

    async def probe(self) -> None:
        """Write, flush, read back and remove a few bytes beside the objects."""
        await self._run(probe, self._root, self._witness, self._reserve)

    async def close(self) -> None:
        """Wait for the threads and end them; afterwards every call raises StoreUnavailable."""
        await asyncio.to_thread(self._executor.shutdown)

    def _place(self, key: str) -> Place:
        return Place(self._root, self._witness, checked_key(key))

    async def _run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run ``function`` in a thread; a cancelled caller leaves at once and ``function`` ends by itself."""
        try:
            return await self._submit(function, *arguments)
        except OSError as error:
            raise _refusal(error) from error

    async def _settled(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run ``function`` in a thread; a cancelled caller leaves when ``function`` has ended."""
        future = self._submit(function, *arguments)
        await settle(future)
        try:
            return future.result()
        except OSError as error:
            raise _refusal(error) from error

    def _submit(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> asyncio.Future[Result]:
        try:
            return asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        except RuntimeError as error:
            raise StoreUnavailable(reason="CLOSED") from error


def _refusal(error: OSError) -> StoreFull | StoreUnavailable:
    reason = errno.errorcode.get(error.errno or 0, "UNKNOWN")
    return StoreFull(reason=reason) if error.errno in _FULL else StoreUnavailable(reason=reason)


def _check_range(start: int, stop: int) -> None:
    if not 0 <= start <= stop:
        raise ValueError("offsets are not negative and ranges do not run backwards")


def _first(listing: Iterator[str]) -> list[str]:
    return list(islice(listing, _LISTED_AT_A_TIME))
