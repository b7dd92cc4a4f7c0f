"""The collection: one pass over all that is due, beside running pushes and pulls."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from entrepot.lifecycle.delete_objects import Deleted, DeleteObjects
from entrepot.lifecycle.expire_uploads import ExpireUploads
from entrepot.lifecycle.review import Blobs, Facts, Links, Manifests, ReviewBatch, Reviewed, Subject
from entrepot.metadata import Database, Queue, resume_parked
from entrepot.oci import StorageFull, Unavailable

logger = logging.getLogger(__name__)

_BATCH = 100
_PAUSE_AT_LEAST = 0.01  # seconds: so long a batch that others hold is left to them before the next look
_PAUSE_AT_MOST = 1.0
_PAUSE_SHARE = 0.25  # of the time that a batch took, which is longer already where others want the database
_FRUITLESS_AT_MOST = 20  # batches in a row that come to nothing: what holds their rows, or refuses, does so for longer

_Step: TypeAlias = Callable[[], Awaitable[tuple[bool, bool]]]
"""Works off one batch; says whether there may be more, and whether it came to anything."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a pass did."""

    uploads: int
    manifests: Reviewed
    links: Reviewed
    blobs: Reviewed
    objects: Deleted
    expiry_failed: bool = False

    @property
    def failures(self) -> int:
        """What will be tried again: reviews, deletions, and the removal of expired uploads as one."""
        reviews = self.manifests.failed + self.links.failed + self.blobs.failed
        return reviews + self.objects.refused + self.expiry_failed


@dataclass(frozen=True, slots=True)
class CollectGarbage:
    """Work through what is due by now; what becomes due meanwhile is left to the next pass where it is behind."""

    database: Database
    review: ReviewBatch
    expire_uploads: ExpireUploads
    delete_objects: DeleteObjects

    async def __call__(self, tell: Callable[[int], None] = lambda _: None) -> Collected:
        """Collect; ``tell`` hears after each batch how many rows were decided so far.

        Raises Unavailable, StorageFull when the database fails: what was done is done, the rest stays queued.
        """
        if not self.review.policy.keep_untagged:
            while await self.database.write(lambda tx: resume_parked(tx, _BATCH)) == _BATCH:
                pass
        return await _Pass(self, tell).run()


@dataclass(slots=True, eq=False)
class _Pass:
    """One pass. The queues take turns: one that is filled as fast as it is worked off keeps no other waiting."""

    uses: CollectGarbage
    tell: Callable[[int], None]
    uploads: int = 0
    expiry_failed: bool = False
    reviewed: dict[Queue, Reviewed] = field(default_factory=lambda: dict.fromkeys(Queue, Reviewed()))
    deleted: Deleted = field(default_factory=Deleted)

    async def run(self) -> Collected:
        """One batch of each in turn, until each has once had less than a full one."""
        fruitless: dict[_Step, int] = {
            self._expire_uploads: 0,
            partial(self._review, Manifests()): 0,
            partial(self._review, Links()): 0,
            partial(self._review, Blobs()): 0,
            self._delete_objects: 0,
        }
        while fruitless:
            for step in list(fruitless):
                began = time.monotonic()
                has_more, is_fruitful = await step()
                fruitless[step] = 0 if is_fruitful else fruitless[step] + 1
                if not has_more or fruitless[step] == _FRUITLESS_AT_MOST:
                    del fruitless[step]
                else:
                    # One batch right after the other would keep SQLite's only lock from other processes.
                    pause = (time.monotonic() - began) * _PAUSE_SHARE
                    await asyncio.sleep(min(max(pause, _PAUSE_AT_LEAST), _PAUSE_AT_MOST))
        manifests, links, blobs = (self.reviewed[queue] for queue in (Queue.MANIFESTS, Queue.LINKS, Queue.BLOBS))
        return Collected(self.uploads, manifests, links, blobs, self.deleted, self.expiry_failed)

    async def _expire_uploads(self) -> tuple[bool, bool]:
        """If that fails, the rest of the pass goes on all the same."""
        try:
            expired = await self.uses.expire_uploads()
        except (Unavailable, StorageFull):
            raise
        except Exception:
            logger.exception("expired uploads cannot be removed")
            self.expiry_failed = True
            return False, False
        self.uploads += expired
        return expired > 0, True

    async def _review(self, subject: Subject[Facts]) -> tuple[bool, bool]:
        batch = await self.uses.review(subject)
        self.reviewed[subject.queue] += batch
        self.tell(sum(reviewed.decided for reviewed in self.reviewed.values()))
        return batch.is_full, batch.decided > 0

    async def _delete_objects(self) -> tuple[bool, bool]:
        batch = await self.uses.delete_objects()
        self.deleted += batch
        return batch.objects + batch.refused > 0, batch.objects > 0
