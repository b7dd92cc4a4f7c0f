"""Keys of new objects, and what happens to the bytes of objects that nothing has any more."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from entrepot.metadata import DEFAULT_STORE, Database, StoredObject, forget_dead_objects
from entrepot.storage import BlobStore, StoreUnavailable, new_key

LATE_WRITER = timedelta(hours=1)
"""How long an object without durable bytes stays recorded: a writer that was shut out may still be about to make it."""


def new_object() -> StoredObject:
    """An object that does not exist yet, under a random key that cannot be guessed."""
    return StoredObject(DEFAULT_STORE, new_key(), 0)


async def delete_buried(database: Database, store: BlobStore, objects: Sequence[StoredObject]) -> None:
    """Free the space of objects that are dead by their rows and that no reader can know of.

    What the store refuses now stays recorded as dead, for a later deletion.
    """
    gone = []
    for piece in objects:
        with contextlib.suppress(StoreUnavailable):
            await store.delete(piece.key)
            gone.append(piece.key)
    if gone:
        await database.write(lambda tx: forget_dead_objects(tx, gone))


async def read_objects(
    store: BlobStore, objects: Sequence[StoredObject], start: int, stop: int
) -> AsyncGenerator[bytes, None]:
    """Bytes ``start`` to ``stop`` (exclusive) of the objects in order; raises ObjectUnknown as the store does."""
    begin = 0
    for piece in objects:
        end = begin + piece.size
        first, last = max(start, begin), min(stop, end)
        if first < last:
            async with contextlib.aclosing(store.read(piece.key, first - begin, last - begin)) as pieces:
                async for chunk in pieces:
                    yield chunk  # ruff: ignore[yield-in-context-manager-in-async-generator]  whoever stops early closes this one
        begin = end
