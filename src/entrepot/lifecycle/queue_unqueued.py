"""Finding rows that nothing refers to and that no event has queued."""

import asyncio
import time
from dataclasses import dataclass

from entrepot.metadata import Database, Key, Queue, find_unqueued, queue_unqueued

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class QueueUnqueued:
    """Look at all manifests, links and blobs, and queue those that nothing seems to refer to and no queue has.

    An event that was missed, by a fault of the program or a database that was mended by hand, thus costs a day and
    not the space for ever. Rows in a queue stay as they are.
    """

    database: Database

    async def __call__(self) -> dict[Queue, int]:
        """How many were queued; raises Unavailable, StorageFull. Begun anew it goes on with what is left."""
        return {queue: await self._search(queue) for queue in Queue}

    async def _search(self, queue: Queue) -> int:
        queued = 0
        last: Key | None = None
        is_behind = True
        while is_behind:
            began = time.monotonic()
            last, found = await self._look(queue, last)
            if found:
                queued += await self._queue(queue, found)
            is_behind = last is not None
            await asyncio.sleep(time.monotonic() - began)  # as long again is others'
        return queued

    async def _look(self, queue: Queue, last: Key | None) -> tuple[Key | None, list[Key]]:
        return await self.database.read(lambda tx: find_unqueued(tx, queue, last, _BATCH))

    async def _queue(self, queue: Queue, found: list[Key]) -> int:
        return await self.database.write(lambda tx: queue_unqueued(tx, queue, found))
