"""Manifests, what they name, and who names them."""

import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, exists, insert, select, update

from entrepot.metadata.actors import Actor
from entrepot.metadata.blobs import renew_links_of
from entrepot.metadata.dialect import per_dialect
from entrepot.metadata.reviews import Event, neighbours_of, queue_links_of, queue_manifests, subjects_of
from entrepot.metadata.tables import manifest_blobs, manifest_children, manifests, tags
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest, Manifest

_PARAMETERS_AT_MOST = 500  # digests per statement: both databases take far more, plans stay small


class StoredManifest(NamedTuple):
    """A manifest's row; ``size`` in bytes, ``is_new`` if this unit of work made it."""

    id: int
    digest: Digest
    media_type: str
    size: int
    is_new: bool = False


_COLUMNS = (manifests.c.id, manifests.c.digest, manifests.c.media_type, manifests.c.size)
_FIND = select(*_COLUMNS).where(
    manifests.c.repository_id == bindparam("repository_id"),
    manifests.c.digest == bindparam("digest", type_=manifests.c.digest.type),
    manifests.c.hidden_at.is_(None),
)
_CHILDREN = (
    select(manifests.c.id)
    .where(
        manifests.c.repository_id == bindparam("repository_id"),
        manifests.c.digest.in_(bindparam("digests", expanding=True)),
    )
    .order_by(manifests.c.digest)
)
_LOCKED_FIND = per_dialect(lambda dialect: dialect.for_update(_FIND))
_LOCKED_CHILDREN = per_dialect(lambda dialect: dialect.key_share(_CHILDREN))
_OFFER = per_dialect(
    lambda dialect: (
        dialect.insert(manifests)
        .on_conflict_do_nothing(index_elements=["repository_id", "digest"])
        .returning(manifests.c.id)
    )
)
_RENEW = (
    update(manifests)
    .where(manifests.c.repository_id == bindparam("p_repository_id"), manifests.c.digest == bindparam("p_digest"))
    .values(lease_until=bindparam("p_lease_until"), hidden_at=None)
    .returning(*_COLUMNS)
)
_ADD_BLOBS = insert(manifest_blobs)
_ADD_CHILDREN = insert(manifest_children)
_PAYLOAD = select(manifests.c.payload).where(manifests.c.id == bindparam("manifest_id"))


def find_manifest(tx: Transaction, repository_id: int, digest: Digest, *, lock: bool = False) -> StoredManifest | None:
    """The manifest if the repository shows it; ``lock`` keeps others from changing or removing it until commit."""
    statement = _LOCKED_FIND(tx.dialect) if lock else _FIND
    row = tx.execute(statement, {"repository_id": repository_id, "digest": digest}).one_or_none()
    return None if row is None else StoredManifest(*row)


def read_payload(tx: Transaction, manifest_id: int) -> bytes | None:
    """The manifest's bytes as pushed, or None if it is gone."""
    return tx.execute(_PAYLOAD, {"manifest_id": manifest_id}).scalar_one_or_none()


def lock_manifests(tx: Transaction, repository_id: int, digests: set[Digest]) -> None:
    """Keep those of ``digests`` that are there from being removed until commit, locked in the order of digests."""
    wanted = sorted(digests)
    for start in range(0, len(wanted), _PARAMETERS_AT_MOST):
        tx.execute(
            _LOCKED_CHILDREN(tx.dialect),
            {"repository_id": repository_id, "digests": wanted[start : start + _PARAMETERS_AT_MOST]},
        )


def store_manifest(
    tx: Transaction,
    repository_id: int,
    digest: Digest,
    content: bytes,
    manifest: Manifest,
    blob_ids: Mapping[Digest, int],
    actor: Actor,
    lease: timedelta,
) -> StoredManifest:
    """The manifest's row, with everything it names; one that is there stays as it is and gets its lease extended."""
    offered = {
        "repository_id": repository_id,
        "digest": digest,
        "media_type": manifest.media_type,
        "artifact_type": manifest.artifact_type,
        "config_media_type": manifest.config.media_type if manifest.config else None,
        "subject": manifest.subject.digest if manifest.subject else None,
        "annotations": json.dumps(dict(manifest.annotations), ensure_ascii=False),
        "size": len(content),
        "total_size": manifest.total_size,
        "payload": content,
        "pushed_at": tx.now,
        "built_at": manifest.created,
        "lease_until": tx.now + lease,
        **actor.columns("pushed_by"),
    }
    renewed = {"p_repository_id": repository_id, "p_digest": digest, "p_lease_until": tx.now + lease}
    while True:  # the one that was there may be removed before it is renewed
        made = tx.execute(_OFFER(tx.dialect), offered).scalar_one_or_none()
        if made is not None:
            _record_names(tx, repository_id, made, manifest, blob_ids)
            return StoredManifest(made, digest, manifest.media_type, len(content), is_new=True)
        there = tx.execute(_RENEW, renewed).one_or_none()
        if there is not None:
            return StoredManifest(*there)


def extend_manifest_lease(tx: Transaction, manifest_id: int, lease: timedelta) -> bool:
    """Keep an untagged manifest for another ``lease``; nothing happens to one with a tag.

    False if there is no such manifest any more.
    """
    extended = tx.execute(
        update(manifests).where(manifests.c.id == manifest_id, ~_is_tagged()).values(lease_until=tx.now + lease)
    ).rowcount
    return bool(extended) or manifest_is_tagged(tx, manifest_id)


def manifest_is_tagged(tx: Transaction, manifest_id: int) -> bool:
    """Whether a tag stands on the manifest; an index that names it may go together with it."""
    return tx.execute(select(exists().where(manifests.c.id == manifest_id, _is_tagged()))).scalar_one()


def release_manifests(tx: Transaction, manifest_ids: Collection[int], event: Event, lease: timedelta) -> None:
    """Have manifests reviewed that have lost a reference; they stay for at least ``lease``.

    Whoever has just seen one of them, and is about to refer to it, may rely on it for that long.
    """
    ids = sorted(manifest_ids)
    for start in range(0, len(ids), _PARAMETERS_AT_MOST):
        _release(tx, ids[start : start + _PARAMETERS_AT_MOST], event, lease)


def _release(tx: Transaction, manifest_ids: Collection[int], event: Event, lease: timedelta) -> None:
    released = tx.execute(
        update(manifests)
        .where(manifests.c.id.in_(manifest_ids))
        .values(lease_until=tx.now + lease)
        .returning(manifests.c.id, manifests.c.subject)
    ).all()
    queue_manifests(tx, [row.id for row in released], event)
    referrers = [row.id for row in released if row.subject is not None]
    if referrers:  # they may have been all that kept their subjects
        queue_manifests(tx, _kept(tx, subjects_of(tx, referrers)), Event.REFERRER_GONE)


def remove_manifests(tx: Transaction, manifest_ids: Collection[int], lease: timedelta) -> None:
    """Delete the manifests' rows; what they alone have kept stays for a lease, and is then reviewed.

    Raises ForeignKeyViolation while a tag stands on one.
    """
    for event, ids in neighbours_of(tx, manifest_ids).items():
        release_manifests(tx, ids, event, lease)
    renew_links_of(tx, manifest_ids, lease)
    queue_links_of(tx, manifest_ids)
    tx.execute(delete(manifests).where(manifests.c.id.in_(manifest_ids)))


def _kept(tx: Transaction, manifest_ids: Collection[int]) -> list[int]:
    """Those of the manifests that are there, kept from being removed until commit."""
    chosen = select(manifests.c.id).where(manifests.c.id.in_(manifest_ids)).order_by(manifests.c.id)
    return list(tx.execute(tx.dialect.key_share(chosen)).scalars())


def _is_tagged() -> ColumnElement[bool]:
    return exists().where(tags.c.repository_id == manifests.c.repository_id, tags.c.manifest_id == manifests.c.id)


def _record_names(
    tx: Transaction, repository_id: int, manifest_id: int, manifest: Manifest, blob_ids: Mapping[Digest, int]
) -> None:
    named = [
        {
            "manifest_id": manifest_id,
            "ordinal": ordinal,
            "repository_id": repository_id,
            "blob_id": blob_ids.get(reference.descriptor.digest),
            "digest": reference.descriptor.digest,
            "role": reference.role,
            "media_type": reference.descriptor.media_type,
        }
        for ordinal, reference in enumerate(manifest.blob_references())
    ]
    if named:
        tx.execute(_ADD_BLOBS, named)
    children = [
        {"manifest_id": manifest_id, "ordinal": ordinal, "repository_id": repository_id, "digest": child.digest}
        for ordinal, child in enumerate(manifest.child_references())
    ]
    if children:
        tx.execute(_ADD_CHILDREN, children)
