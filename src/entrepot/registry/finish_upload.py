"""Closing an upload session into a blob (distribution spec, "Pushing blobs", end-4b, end-6)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from entrepot.access import Principal
from entrepot.metadata import (
    Database,
    Transaction,
    UploadSession,
    bury_objects,
    extend_link_lease,
    find_session,
    finish_session,
    link_blob,
    linked_blobs,
    store_blob,
)
from entrepot.oci import BlobUploadUnknown, Digest, DigestInvalid, RepositoryName, UploadRangeInvalid
from entrepot.registry.limits import UploadLimits
from entrepot.registry.objects import LATE_WRITER, delete_buried
from entrepot.registry.uploads import (
    WriteUpload,
    Written,
    digest_of,
    discard_session,
    ending_if_lost,
    load_session,
    resume_hash,
)
from entrepot.storage import BlobStore


@dataclass(frozen=True, slots=True)
class FinishUpload:
    """Check the digest of a session's bytes and make them a blob of the repository."""

    database: Database
    store: BlobStore
    limits: UploadLimits
    write_upload: WriteUpload

    async def __call__(
        self,
        principal: Principal,
        name: RepositoryName,
        session_id: str,
        digest: Digest,
        start: int | None,
        body: AsyncIterator[bytes] | None,
    ) -> None:
        """Write the last chunk if there is one, then close the session.

        A finished session accepts the same closing again while the repository has the blob. Raises
        BlobUploadUnknown, UploadRangeInvalid, and DigestInvalid, which ends the session.
        """
        session = await self.database.read(lambda tx: load_session(tx, name, session_id, principal))
        if session.finished_digest is not None:
            await self._answer_again(session, digest)
            return
        if body is None and start is not None and start != session.offset:
            raise UploadRangeInvalid(offset=session.offset)
        async with ending_if_lost(self.database, self.store, session):
            if body is None:
                written = Written(session, await resume_hash(self.store, session), session.offset)
            else:
                written = await self.write_upload(principal, name, session_id, start, body, closing=True)
            found = await digest_of(self.store, written, digest)
        if found != digest:
            await discard_session(self.database, self.store, written.session)
            raise DigestInvalid(digest=str(digest), reason="mismatch")
        await self._commit(written, digest)

    async def _answer_again(self, session: UploadSession, digest: Digest) -> None:
        if session.finished_digest != digest:
            raise BlobUploadUnknown
        await self.database.write(lambda tx: self._show_again(tx, session.repository_id, digest))

    def _show_again(self, tx: Transaction, repository_id: int, digest: Digest) -> None:
        """Keep for another lease what an earlier request has made; raises BlobUploadUnknown if it has gone since."""
        blob = linked_blobs(tx, repository_id, [digest], lock=True).get(digest)
        if blob is None:
            raise BlobUploadUnknown
        extend_link_lease(tx, repository_id, blob.id, self.limits.lease)

    async def _commit(self, written: Written, digest: Digest) -> None:
        """Make blob, link and end of session visible at once; all bytes are durable by now."""
        limits, session = self.limits, written.session
        pieces = [piece for piece in session.objects if piece.size]
        empty = [piece for piece in session.objects if not piece.size]

        def unit(tx: Transaction) -> bool:
            current = find_session(tx, session.id, lock=True)
            if current is not None and current.finished_digest == digest:
                self._show_again(tx, session.repository_id, digest)
                return True
            if current is None or current.finished_digest is not None:
                raise BlobUploadUnknown
            if (current.epoch, current.offset) != (session.epoch, written.recorded) or not finish_session(
                tx, session, digest, tx.now + limits.retry_window
            ):
                raise UploadRangeInvalid(offset=current.offset, reason="taken-over")
            bury_objects(tx, empty, delete_after=tx.now + LATE_WRITER)
            blob_id, kept = store_blob(tx, digest, pieces)
            link_blob(tx, session.repository_id, blob_id, digest, limits.lease)
            return kept

        if not await self.database.write(unit):
            await delete_buried(self.database, self.store, pieces)
