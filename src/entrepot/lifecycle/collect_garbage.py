"""The collection: one pass over all that is due, beside running pushes and pulls."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from entrepot.lifecycle.delete_objects import Deleted, DeleteObjects
from entrepot.lifecycle.expire_uploads import ExpireUploads
from entrepot.lifecycle.review import BATCH, Blobs, Facts, Links, Manifests, ReviewBatch, Reviewed, Subject
from entrepot.metadata import Database, resume_parked
from entrepot.oci import StorageFull, Unavailable

logger = logging.getLogger(__name__)

_PAUSE_AT_MOST = 1.0  # seconds


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
            while await self.database.write(lambda tx: resume_parked(tx, BATCH)) == BATCH:
                pass
        uploads, expiry_failed = await self._expire_uploads()
        manifests = await self._work_off(Manifests(), tell)
        links = await self._work_off(Links(), tell)
        blobs = await self._work_off(Blobs(), tell)
        objects = Deleted()
        while (deleted := await self.delete_objects()).objects:
            objects += deleted
        return Collected(uploads, manifests, links, blobs, objects + deleted, expiry_failed)

    async def _expire_uploads(self) -> tuple[int, bool]:
        """How many sessions were removed, and whether that failed: the rest of the pass goes on all the same."""
        uploads = 0
        try:
            while expired := await self.expire_uploads():
                uploads += expired
        except (Unavailable, StorageFull):
            raise
        except Exception:
            logger.exception("expired uploads cannot be removed")
            return uploads, True
        return uploads, False

    async def _work_off(self, subject: Subject[Facts], tell: Callable[[int], None]) -> Reviewed:
        reviewed = Reviewed()
        is_behind = True
        while is_behind:  # less than a full batch came due just now: the other queues wait, too
            began = time.monotonic()
            batch = await self.review(subject)
            reviewed += batch
            tell(reviewed.decided)
            is_behind = batch.decided >= BATCH
            if is_behind:
                # As long again: one batch after the other would keep SQLite's only lock from pushes of other processes.
                await asyncio.sleep(min(time.monotonic() - began, _PAUSE_AT_MOST))
        return reviewed
