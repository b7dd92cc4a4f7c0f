"""Pushing manifests and setting tags (distribution spec, "Pushing Manifests", end-7)."""

from dataclasses import dataclass
from datetime import timedelta

from entrepot.access import Principal
from entrepot.metadata import (
    Actor,
    Database,
    Event,
    LinkedBlob,
    StoredManifest,
    Transaction,
    create_tag,
    ensure_repository,
    find_tag,
    linked_blobs,
    lock_manifests,
    lock_repository,
    move_tag,
    queue_manifests,
    set_fallback_referrers,
    store_manifest,
)
from entrepot.oci import (
    Algorithm,
    Denied,
    Digest,
    DigestInvalid,
    Manifest,
    ManifestBlobUnknown,
    ManifestConditionFailed,
    ManifestInvalid,
    Reference,
    ReferrersTag,
    RepositoryName,
    SizeInvalid,
    Tag,
    parse_manifest,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of each tag, or of the manifest where no tag is set (RFC 9110, sections 13.1.1 and 13.1.2).

    ``matching`` is None without ``If-Match``; empty stands for ``If-Match: *``. ``absent`` is ``If-None-Match: *``.
    """

    matching: frozenset[Digest] | None = None
    absent: bool = False

    def check(self, now: Digest | None, what: str) -> None:
        """Raise ManifestConditionFailed unless ``now``, the present digest if any, fulfils the condition."""
        matches = self.matching is None or (now is not None and (not self.matching or now in self.matching))
        if not matches or (self.absent and now is not None):
            raise ManifestConditionFailed(reference=what, digest=str(now) if now else None)


@dataclass(frozen=True, slots=True)
class ManifestPush:
    """What a client sends: where to, under which tags, and the bytes with their declared media type.

    ``may_move_tags`` tells whether its right extends to tags that point elsewhere by now.
    """

    repository: RepositoryName
    reference: Reference
    tags: tuple[Tag, ...]
    content_type: str | None
    content: bytes
    condition: Condition = Condition()
    may_move_tags: bool = False


@dataclass(frozen=True, slots=True)
class PushedManifest:
    """What became of it."""

    digest: Digest
    tags: tuple[Tag, ...]
    subject: Digest | None


@dataclass(frozen=True, slots=True)
class PushManifest:
    """Store a manifest whose content is there, and set its tags, all in one transaction.

    With ``accept_missing_blobs`` the content may also come later, or never (sparse images).
    """

    database: Database
    lease: timedelta
    accept_missing_blobs: bool

    async def __call__(self, principal: Principal, push: ManifestPush) -> PushedManifest:
        """Store and tag.

        Raises DigestInvalid, ManifestInvalid, SizeInvalid, ManifestBlobUnknown with every digest that is missing,
        ManifestConditionFailed; Denied for a tag that would have to be moved and may not.
        """
        digest = _digest_of(push)
        manifest = parse_manifest(push.content, push.content_type)
        tags = push.tags if isinstance(push.reference, Digest) else (push.reference,)
        actor = principal.actor

        def unit(tx: Transaction) -> None:
            repository_id = ensure_repository(tx, push.repository, actor)
            found = _find_blobs(tx, repository_id, manifest, required=not self.accept_missing_blobs)
            lock_manifests(tx, repository_id, _named_manifests(manifest))
            stored = store_manifest(
                tx,
                repository_id,
                digest,
                push.content,
                manifest,
                {blob.digest: blob.id for blob in found.values()},
                actor,
                self.lease,
            )
            if stored.media_type != manifest.media_type:
                raise ManifestInvalid(path="$.mediaType", reason="media-type-changed", stored=stored.media_type)
            if not tags:  # then a condition is about the manifest itself, and nothing may ever refer to it
                push.condition.check(None if stored.is_new else digest, str(digest))
                queue_manifests(tx, [stored.id], Event.PUSHED)
            for tag in sorted(tags):  # in one order, so that two pushes do not wait for each other
                _place_tag(tx, repository_id, tag, stored, manifest, push, actor, self.lease)

        await self.database.write(unit)
        return PushedManifest(digest, tags, manifest.subject.digest if manifest.subject else None)


def _digest_of(push: ManifestPush) -> Digest:
    """The digest under which the content is stored, which is the one that was asked for."""
    if isinstance(push.reference, Tag):
        return Digest.of(push.content, Algorithm.SHA256)
    digest = Digest.of(push.content, push.reference.algorithm)
    if digest != push.reference:
        raise DigestInvalid(digest=str(push.reference), reason="mismatch")
    return digest


def _find_blobs(tx: Transaction, repository_id: int, manifest: Manifest, *, required: bool) -> dict[Digest, LinkedBlob]:
    """The blobs that the manifest names, their links locked; raises ManifestBlobUnknown, SizeInvalid."""
    named = manifest.blob_references()
    digests = {reference.descriptor.digest for reference in named}
    found = linked_blobs(tx, repository_id, digests, lock=True)
    if len(found) < len(digests):
        # Uploads that end just now are waited for, and later ones wait: else neither would see the other's rows.
        lock_repository(tx, repository_id)
        found = linked_blobs(tx, repository_id, digests, lock=True)
    missing = {
        str(reference.descriptor.digest)
        for reference in named
        if required and reference.required and reference.descriptor.digest not in found
    }
    if missing:
        raise ManifestBlobUnknown(digests=sorted(missing))
    for reference in named:
        descriptor = reference.descriptor
        blob = found.get(descriptor.digest)
        if blob is not None and blob.size != descriptor.size:
            raise SizeInvalid(digest=str(blob.digest), declared=descriptor.size, stored=blob.size)
    return found


def _named_manifests(manifest: Manifest) -> set[Digest]:
    named = {child.digest for child in manifest.child_references()}
    return named | {manifest.subject.digest} if manifest.subject else named


def _place_tag(
    tx: Transaction,
    repository_id: int,
    tag: Tag,
    stored: StoredManifest,
    manifest: Manifest,
    push: ManifestPush,
    actor: Actor,
    lease: timedelta,
) -> None:
    placed = False
    while not placed:  # others may create the tag, or take it away, after it was looked for
        was = find_tag(tx, repository_id, tag, lock=True)
        push.condition.check(was, tag.text)
        if was is None:
            placed = create_tag(tx, repository_id, tag, stored, actor)
        else:
            if was != stored.digest and not push.may_move_tags:
                raise Denied(scope=f"repository:{push.repository}:move", tag=tag.text)
            move_tag(tx, repository_id, tag, stored, was, actor, lease)
            placed = True
    if ReferrersTag.parse(tag) is not None:
        set_fallback_referrers(tx, repository_id, tag, {child.digest for child in manifest.child_references()})
