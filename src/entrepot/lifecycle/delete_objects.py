"""Deleting the bytes of objects that no row of a session or blob has any more."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from entrepot.lifecycle.clock import Clock
from entrepot.lifecycle.review import ERROR_LENGTH
from entrepot.metadata import (
    Database,
    DeadObject,
    Refusal,
    claim_dead_objects,
    refuse_dead_objects,
    settle_dead_objects,
)
from entrepot.oci import words_of
from entrepot.storage import BlobStore, StoreFull, StoreUnavailable

logger = logging.getLogger(__name__)

_BATCH = 100
# How long a claim lasts, which a batch takes only where each deletion waits for seconds: if its holder dies, another
# goes on after that. An object that two delete is deleted once and counted once.
_HOLD = timedelta(minutes=5)
_FIRST_PAUSE = timedelta(minutes=1)  # after a refusal of the store; twice as long after each further one
_LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What came of a batch: objects and bytes deleted, objects that the store refused to delete."""

    objects: int = 0
    bytes: int = 0
    refused: int = 0

    def __add__(self, other: "Deleted") -> "Deleted":
        return Deleted(self.objects + other.objects, self.bytes + other.bytes, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class DeleteObjects:
    """Delete the bytes of dead objects whose time has come, a batch at a time.

    An object is claimed before its bytes go and forgotten afterwards: a crash in between repeats a deletion, which does
    nothing.
    """

    database: Database
    store: BlobStore
    clock: Clock

    async def __call__(self) -> Deleted:
        """Delete up to a batch; what the store refuses is tried again later. Raises Unavailable, StorageFull."""
        claimed = await self.database.write(lambda tx: claim_dead_objects(tx, self.clock.steady(tx.now), _BATCH, _HOLD))
        gone: list[DeadObject] = []
        refused: list[tuple[DeadObject, str]] = []
        for dead in claimed:
            try:
                await self.store.delete(dead.key)
            except (StoreUnavailable, StoreFull) as refusal:
                logger.warning("the store does not delete an object", extra={"key": dead.key, "reason": str(refusal)})
                refused.append((dead, words_of(refusal, ERROR_LENGTH)))
            else:
                gone.append(dead)
        if gone:
            await self.database.write(lambda tx: settle_dead_objects(tx, gone))
        if refused:
            await self.database.write(lambda tx: refuse_dead_objects(tx, _refusals(tx.now, refused)))
        return Deleted(len(gone), sum(dead.size for dead in gone), len(refused))


def _refusals(now: datetime, refused: list[tuple[DeadObject, str]]) -> list[Refusal]:
    pauses = [min(_FIRST_PAUSE * 2 ** min(dead.attempts, 16), _LONGEST_PAUSE) for dead, _ in refused]
    return [Refusal(dead.key, now + pause, reason) for (dead, reason), pause in zip(refused, pauses, strict=True)]
