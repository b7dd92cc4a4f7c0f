"""The collection: one pass over all that is due, beside running pushes and pulls."""

from collections.abc import Callable
from dataclasses import dataclass

from entrepot.lifecycle.delete_objects import Deleted, DeleteObjects
from entrepot.lifecycle.expire_uploads import ExpireUploads
from entrepot.lifecycle.review import Blobs, Facts, Links, Manifests, ReviewBatch, Reviewed, Subject
from entrepot.metadata import Database, resume_parked


@dataclass(frozen=True, slots=True)
class Collected:
    """What a pass did."""

    uploads: int
    manifests: Reviewed
    links: Reviewed
    blobs: Reviewed
    objects: Deleted

    @property
    def failures(self) -> int:
        """Reviews and deletions that will be tried again."""
        return self.manifests.failed + self.links.failed + self.blobs.failed + self.objects.refused


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
            await self.database.write(resume_parked)
        uploads = 0
        while expired := await self.expire_uploads():
            uploads += expired
        manifests = await self._work_off(Manifests(), tell)
        links = await self._work_off(Links(), tell)
        blobs = await self._work_off(Blobs(), tell)
        objects = Deleted()
        while (deleted := await self.delete_objects()).objects:
            objects += deleted
        return Collected(uploads, manifests, links, blobs, objects + deleted)

    async def _work_off(self, subject: Subject[Facts], tell: Callable[[int], None]) -> Reviewed:
        reviewed = Reviewed()
        while (batch := await self.review(subject)).decided:
            reviewed += batch
            tell(reviewed.decided)
        return reviewed
