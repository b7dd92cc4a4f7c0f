"""What is counted in the database when somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

from entrepot.http.ops import Gauge
from entrepot.lifecycle import CollectionStatus, ReadCollectionStatus
from entrepot.metadata import (
    Database,
    JobState,
    count_jobs,
    count_uploads,
)

_FRESH: Final = timedelta(seconds=1)


def gauges_of(database: Database, kinds: Sequence[str]) -> list[Gauge]:
    """What is counted in the database when somebody asks."""

    async def open_uploads() -> float:
        return await database.read(count_uploads)

    async def jobs() -> dict[tuple[str, ...], float]:
        shown = (JobState.QUEUED, JobState.RUNNING, JobState.FAILED)
        found = await database.read(count_jobs)
        counted = {(kind, state): 0 for kind in kinds for state in shown} | found
        return {(kind, state): number for (kind, state), number in counted.items() if state in shown}

    return [
        *_collection_gauges(_Shared(ReadCollectionStatus(database))),
        Gauge("entrepot_open_uploads", "Upload sessions that are open.", open_uploads),
        Gauge("entrepot_jobs", "Jobs that are queued, running, or failed lately.", jobs, ("kind", "state")),
    ]


class _Shared:
    """One read of the collection's status for all gauges that are shown together."""

    def __init__(self, read: Callable[[], Awaitable[CollectionStatus]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._found: CollectionStatus | None = None
        self._fresh_until = float("-inf")

    async def __call__(self) -> CollectionStatus:
        """The status as it was at most a second ago."""
        clock = asyncio.get_running_loop().time
        async with self._lock:
            if self._found is None or clock() >= self._fresh_until:
                self._found = await self._read()
                self._fresh_until = clock() + _FRESH.total_seconds()
            return self._found


def _collection_gauges(status: Callable[[], Awaitable[CollectionStatus]]) -> list[Gauge]:
    """How the collection stands."""

    async def rows() -> dict[tuple[str, ...], float]:
        found = await status()
        return {
            (queue.value, state): number
            for queue, totals in found.queues.items()
            for state, number in (("waiting", totals.waiting), ("parked", totals.parked), ("failing", totals.failing))
        }

    async def oldest() -> dict[tuple[str, ...], float]:
        found = await status()
        return {
            (queue.value,): 0.0 if totals.oldest is None else max(0.0, (found.at - totals.oldest).total_seconds())
            for queue, totals in found.queues.items()
        }

    async def dead() -> dict[tuple[str, ...], float]:
        found = await status()
        return {("waiting",): found.dead_objects, ("refused",): found.refused_objects}

    async def reclaimed() -> float:
        return (await status()).reclaimed_bytes

    return [
        Gauge("entrepot_gc_reviews", "Rows in the queues of the collection.", rows, ("queue", "state")),
        Gauge("entrepot_gc_oldest_seconds", "How long the first row of a queue has waited.", oldest, ("queue",)),
        Gauge("entrepot_gc_dead_objects", "Objects whose bytes are to be deleted.", dead, ("state",)),
        Gauge("entrepot_gc_reclaimed_bytes", "Bytes that the collection has freed.", reclaimed),
    ]
