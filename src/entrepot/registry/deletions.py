"""Deleting tags, manifests and blobs (distribution spec, "Content Management", end-9 and end-10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from entrepot.access import Principal
from entrepot.metadata import (
    Actor,
    Database,
    ForeignKeyViolation,
    Transaction,
    find_manifest,
    find_repository,
    find_tag,
    linked_blobs,
    manifests_naming,
    record_audit,
    remove_manifests,
    remove_tag,
    set_fallback_referrers,
    tags_on,
    unlink_blob,
)
from entrepot.oci import (
    BlobReferenced,
    BlobUnknown,
    Digest,
    ManifestUnknown,
    NameUnknown,
    ReferrersTag,
    RepositoryName,
    Tag,
)

_NAMED_AT_MOST = 10  # manifests that a refusal to delete a blob names


def _repository(tx: Transaction, name: RepositoryName) -> int:
    repository_id = find_repository(tx, name)
    if repository_id is None:
        raise NameUnknown(name=name.text)
    return repository_id


def _take_away(tx: Transaction, repository_id: int, tag: Tag, was: Digest, actor: Actor, lease: timedelta) -> None:
    remove_tag(tx, repository_id, tag, was, actor, lease)
    if ReferrersTag.parse(tag) is not None:
        set_fallback_referrers(tx, repository_id, tag, set())


def _naming(tx: Transaction, name: RepositoryName, digest: Digest) -> list[Digest]:
    repository_id = _repository(tx, name)
    blob = linked_blobs(tx, repository_id, [digest]).get(digest)
    return [] if blob is None else manifests_naming(tx, repository_id, blob.id, _NAMED_AT_MOST)


def _in_use(digest: Digest, naming: Sequence[Digest]) -> BlobReferenced:
    return BlobReferenced(digest=str(digest), manifests=[str(manifest) for manifest in naming], allow=["GET", "HEAD"])


@dataclass(frozen=True, slots=True)
class DeleteTag:
    """Take a tag away; its manifest stays, for at least a lease."""

    database: Database
    lease: timedelta

    async def __call__(self, principal: Principal, name: RepositoryName, tag: Tag) -> None:
        """Remove the tag, with its history and an audit row; raises NameUnknown, ManifestUnknown."""
        actor = principal.actor

        def unit(tx: Transaction) -> None:
            repository_id = _repository(tx, name)
            was = find_tag(tx, repository_id, tag, lock=True)
            if was is None:
                raise ManifestUnknown(tag=tag.text)
            _take_away(tx, repository_id, tag, was, actor, self.lease)
            record_audit(tx, actor, "tag.delete", name.text, tag.text, {"digest": str(was)})

        await self.database.write(unit)


@dataclass(frozen=True, slots=True)
class DeleteManifest:
    """Take a manifest away with every tag that stands on it; what it names stays for a lease."""

    database: Database
    lease: timedelta

    async def __call__(self, principal: Principal, name: RepositoryName, digest: Digest) -> None:
        """Remove manifest and tags, with their history and an audit row; raises NameUnknown, ManifestUnknown."""
        actor = principal.actor

        def unit(tx: Transaction) -> None:
            repository_id = _repository(tx, name)
            manifest = find_manifest(tx, repository_id, digest, lock=True)
            if manifest is None:
                raise ManifestUnknown(digest=str(digest))
            for tag in tags_on(tx, repository_id, manifest.id):
                _take_away(tx, repository_id, tag, digest, actor, self.lease)
            remove_manifests(tx, [manifest.id], self.lease)
            record_audit(tx, actor, "manifest.delete", name.text, str(digest))

        await self.database.write(unit)


@dataclass(frozen=True, slots=True)
class DeleteBlob:
    """Take a blob out of one repository; other repositories that have it keep it."""

    database: Database

    async def __call__(self, principal: Principal, name: RepositoryName, digest: Digest) -> None:
        """Remove the link with an audit row; raises NameUnknown, BlobUnknown, BlobReferenced naming manifests."""
        actor = principal.actor

        def unit(tx: Transaction) -> None:
            repository_id = _repository(tx, name)
            blob = linked_blobs(tx, repository_id, [digest], lock=True).get(digest)
            if blob is None:
                raise BlobUnknown(digest=str(digest))
            naming = manifests_naming(tx, repository_id, blob.id, _NAMED_AT_MOST)
            if naming:
                raise _in_use(digest, naming)
            unlink_blob(tx, repository_id, name.text, blob.id)
            record_audit(tx, actor, "blob.delete", name.text, str(digest))

        try:
            await self.database.write(unit)
        except ForeignKeyViolation:  # a manifest that names it was pushed at the same time
            naming = await self.database.read(lambda tx: _naming(tx, name, digest))
            raise _in_use(digest, naming) from None
