"""Stored bytes in memory, for tests, with the durability of a disk: what was not synced can be lost."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from entrepot.storage.chunks import MIB
from entrepot.storage.errors import ObjectUnknown
from entrepot.storage.keys import checked_key


@dataclass(slots=True)
class _Object:
    content: bytearray = field(default_factory=bytearray)
    durable: int | None = None  # bytes that survive a power cut; None while the object itself would not


class MemoryBlobStore:
    """Objects in this process; ``power_cut`` takes away whatever was not synced."""

    def __init__(self) -> None:
        self._objects: dict[str, _Object] = {}

    def power_cut(self) -> None:
        """Lose every object that was never synced, and of the others what came after their last sync."""
        self._objects = {key: found for key, found in self._objects.items() if found.durable is not None}
        for found in self._objects.values():
            del found.content[found.durable :]

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Write ``chunks`` from byte ``offset`` on; see the port."""
        if offset < 0:
            raise ValueError("offsets are not negative")
        found = self._objects.setdefault(checked_key(key), _Object()) if offset == 0 else self._find(key, offset)
        del found.content[offset:]
        if found.durable is not None:
            found.durable = min(found.durable, offset)
        async for chunk in chunks:
            found.content += chunk
        return len(found.content)

    async def sync(self, key: str) -> None:
        """Let every byte so far survive ``power_cut``."""
        found = self._find(key)
        found.durable = len(found.content)

    async def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes ``start`` to ``stop`` in pieces of at most 1 MiB."""
        if not 0 <= start <= stop:
            raise ValueError("ranges do not run backwards")
        found = self._find(key, stop)
        for position in range(start, stop, MIB):
            end = min(position + MIB, stop)
            if len(found.content) < end:
                raise ObjectUnknown(key)  # cut off since the read began
            yield bytes(found.content[position:end])

    async def size(self, key: str) -> int:
        """The object's length in bytes; raises ObjectUnknown."""
        return len(self._find(key).content)

    async def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        self._objects.pop(checked_key(key), None)

    async def keys(self) -> AsyncGenerator[str, None]:
        """Every key that was there at the start."""
        for key in list(self._objects):
            yield key

    async def probe(self) -> None:
        """Memory always answers."""

    def _find(self, key: str, length: int = 0) -> _Object:
        found = self._objects.get(checked_key(key))
        if found is None or len(found.content) < length:
            raise ObjectUnknown(key)
        return found
