"""Pulling manifests and blobs (distribution spec, "Pull", end-2 and end-3)."""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from entrepot.metadata import (
    BlobKey,
    Database,
    ManifestKey,
    RepositoryKey,
    ResolvedBlob,
    ResolvedManifest,
    extend_link_lease,
    extend_manifest_lease,
    link_is_referenced,
    manifest_is_tagged,
    mark_damaged,
    read_payload,
)
from entrepot.oci import BlobUnknown, ContentDamaged, Digest, ManifestUnknown, Reference, RepositoryName, Tag
from entrepot.registry.objects import read_objects
from entrepot.storage import BlobStore, ObjectUnknown


class ManifestCache:
    """The bytes of manifests by digest, least recently used first out; immutable, so never stale."""

    def __init__(self, bytes_at_most: int) -> None:
        self._room = bytes_at_most
        self._contents: OrderedDict[Digest, bytes] = OrderedDict()

    def get(self, digest: Digest) -> bytes | None:
        """The content, if it is at hand."""
        content = self._contents.get(digest)
        if content is not None:
            self._contents.move_to_end(digest)
        return content

    def put(self, digest: Digest, content: bytes) -> None:
        """Keep the content, in place of what was not asked for the longest."""
        if digest in self._contents:
            return
        self._contents[digest] = content
        self._room -= len(content)
        while self._room < 0:
            _, dropped = self._contents.popitem(last=False)
            self._room += len(dropped)


@dataclass(frozen=True, slots=True)
class PullManifest:
    """Find a manifest, then give its bytes."""

    database: Database
    cache: ManifestCache
    lease: timedelta

    async def resolve(self, name: RepositoryName, reference: Reference) -> ResolvedManifest:
        """What the reference stands for, in one point read; the caller's rights are checked on the answer."""
        if isinstance(reference, Tag):
            return await self.database.hot.resolve_tag(name, reference)
        return await self.database.hot.resolve_digest(name, reference)

    async def content(self, manifest: ManifestKey) -> bytes:
        """The manifest's bytes as pushed; raises ManifestUnknown if it has gone since."""
        cached = self.cache.get(manifest.digest)
        if cached is not None:
            return cached
        content = await self.database.read(lambda tx: read_payload(tx, manifest.id))
        if content is None:
            raise ManifestUnknown(digest=str(manifest.digest))
        self.cache.put(manifest.digest, content)
        return content

    async def keep(self, manifest: ManifestKey) -> None:
        """Extend the lease of an unreferenced manifest that a pusher asked for by digest, if it has become short.

        Raises ManifestUnknown if it has been collected since it was found.
        """
        if not _is_short(manifest, self.lease):
            return
        if await self.database.read(lambda tx: manifest_is_tagged(tx, manifest.id)):
            return
        if not await self.database.write(lambda tx: extend_manifest_lease(tx, manifest.id, self.lease)):
            raise ManifestUnknown(digest=str(manifest.digest))


@dataclass(frozen=True, slots=True)
class PullBlob:
    """Find a blob, then give its bytes in any range."""

    database: Database
    store: BlobStore
    lease: timedelta

    async def resolve(self, name: RepositoryName, digest: Digest) -> ResolvedBlob:
        """The blob in this repository, in one point read; the caller's rights are checked on the answer."""
        return await self.database.hot.find_blob(name, digest)

    async def read(self, name: RepositoryName, blob: BlobKey, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Bytes ``start`` to ``stop`` (exclusive).

        Where the store lacks an object, the row is read once more: the blob may be gone (BlobUnknown), or lie under
        new keys by now; under the same keys it is damaged, which is recorded (ContentDamaged).
        """
        position, complete = start, False
        while not complete:
            try:
                async with aclosing(read_objects(self.store, blob.objects, position, stop)) as pieces:
                    async for chunk in pieces:
                        yield chunk  # ruff: ignore[yield-in-context-manager-in-async-generator]  whoever stops early closes this one
                        position += len(chunk)
                complete = True
            except ObjectUnknown as failure:
                blob = await self._look_again(name, blob, failure)

    async def keep(self, repository: RepositoryKey, blob: BlobKey) -> None:
        """Extend the lease of an unreferenced link that a pusher asked about, if it has become short.

        Raises BlobUnknown if it has been collected since it was found.
        """
        if not _is_short(blob, self.lease):
            return
        if await self.database.read(lambda tx: link_is_referenced(tx, repository.id, blob.id)):
            return
        if not await self.database.write(lambda tx: extend_link_lease(tx, repository.id, blob.id, self.lease)):
            raise BlobUnknown(digest=str(blob.digest))

    async def _look_again(self, name: RepositoryName, blob: BlobKey, failure: ObjectUnknown) -> BlobKey:
        now = (await self.resolve(name, blob.digest)).blob
        if now is None:
            raise BlobUnknown(digest=str(blob.digest)) from failure
        if now.objects == blob.objects:
            await self.database.write(lambda tx: mark_damaged(tx, blob.id, failure.key))
            raise ContentDamaged(digest=str(blob.digest)) from failure
        return now


def _is_short(seen: ManifestKey | BlobKey, lease: timedelta) -> bool:
    return seen.lease_until - seen.seen_at < lease / 2
