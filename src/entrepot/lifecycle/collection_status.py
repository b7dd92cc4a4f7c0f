"""How the collection stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from entrepot.metadata import (
    Database,
    Queue,
    QueueTotals,
    Reclaimed,
    Transaction,
    dead_totals,
    list_reclaimed,
    queue_totals,
    reclaimed_bytes,
)


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """The queues, the objects whose bytes wait to be deleted, and what came back so far (bytes)."""

    at: datetime
    queues: Mapping[Queue, QueueTotals]
    dead_objects: int
    dead_bytes: int
    refused_objects: int
    first_deletion_at: datetime | None
    reclaimed_bytes: int


@dataclass(frozen=True, slots=True)
class ReadCollectionStatus:
    """Read it in one snapshot."""

    database: Database

    async def __call__(self) -> CollectionStatus:
        """The totals; costs a scan of the queues' indexes."""
        return await self.database.read(_status)

    async def by_repository(self, at_most: int) -> list[Reclaimed]:
        """What came back from each repository, the most first."""
        return await self.database.read(lambda tx: list_reclaimed(tx, at_most))


def _status(tx: Transaction) -> CollectionStatus:
    objects, size, refused, first = dead_totals(tx)
    queues = {queue: queue_totals(tx, queue) for queue in Queue}
    return CollectionStatus(tx.now, queues, objects, size, refused, first, reclaimed_bytes(tx))
