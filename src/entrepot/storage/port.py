"""The port to stored bytes: objects under keys, and what only some back ends can do."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol


class BlobStore(Protocol):
    """Bytes under keys that the caller made up and recorded beforehand; no digest, session or request is known here.

    A key has the form ``objects/<2 hex>/<32 hex>``. Every method raises StoreUnavailable when the store does not
    answer, and is safe to cancel: a cancelled append leaves at most extra bytes past the last synced length.
    """

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Write ``chunks`` from byte ``offset`` of an object on and return its new length in bytes.

        The object is created when ``offset`` is 0; what stood behind ``offset`` is cut off first. Durable only
        after ``sync``. Raises StoreFull, ObjectUnknown if ``offset`` is beyond the object's end or not 0 without
        an object. An exception from ``chunks`` passes through; the bytes before it stay.
        ``chunks`` is not closed. Nothing is written any more once this returned or raised, cancelled or not. One
        writer per key at a time.
        """
        ...

    async def sync(self, key: str) -> None:
        """Make every byte appended so far survive a power cut, the object's directory entry too.

        Raises ObjectUnknown. After any other error no byte since the last sync can be believed, even if a later sync
        succeeds: append again from there.
        """
        ...

    def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes ``start`` to ``stop`` (exclusive) in pieces of at most 1 MiB.

        Raises ObjectUnknown, before the first piece if there is no object, at the latest where it ends before
        ``stop``. Whoever stops early closes the iterator (``contextlib.aclosing``).
        """
        ...

    async def size(self, key: str) -> int:
        """The object's length in bytes; raises ObjectUnknown."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        ...

    def keys(self) -> AsyncGenerator[str, None]:
        """Every key in the store, in no particular order, in bounded memory."""
        ...

    async def probe(self) -> None:
        """Write, read back and remove a few bytes; raises StoreFull or StoreUnavailable. For readiness checks."""
        ...
