"""Blobs, their objects, and their links to repositories."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, exists, insert, select, tuple_, update
from sqlalchemy.dialects.sqlite import Insert

from entrepot.metadata.dialect import Dialect, per_dialect
from entrepot.metadata.port import StoredObject
from entrepot.metadata.reviews import Event, queue_blobs, queue_link
from entrepot.metadata.tables import (
    blob_objects,
    blobs,
    dead_objects,
    manifest_blobs,
    manifests,
    repositories,
    repository_blobs,
)
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest, RepositoryName

_PARAMETERS_AT_MOST = 500  # digests per statement: both databases take far more, plans stay small


@dataclass(frozen=True, slots=True)
class LinkedBlob:
    """A blob that a repository may show; ``size`` in bytes."""

    id: int
    digest: Digest
    size: int


_FOUND = select(blobs.c.id, blobs.c.state).where(blobs.c.digest == bindparam("p_digest"))
_OFFER_BLOB = per_dialect(
    lambda dialect: dialect.insert(blobs).on_conflict_do_nothing(index_elements=["digest"]).returning(blobs.c.id)
)
_KEPT_BLOB = per_dialect(lambda dialect: dialect.key_share(_FOUND))
_LOCKED_BLOB = per_dialect(lambda dialect: dialect.for_update(_FOUND))
_ADD_OBJECTS = insert(blob_objects)
_BURY = insert(dead_objects)


def _link(dialect: Dialect) -> Insert:
    offer = dialect.insert(repository_blobs)
    return offer.on_conflict_do_update(
        index_elements=["repository_id", "blob_id"],
        set_={"lease_until": offer.excluded.lease_until, "hidden_at": None},
    )


_LINK = per_dialect(_link)
_TIE_AWAITED = (
    update(manifest_blobs)
    .where(
        manifest_blobs.c.repository_id == bindparam("p_repository_id"),
        manifest_blobs.c.digest == bindparam("p_digest"),
        manifest_blobs.c.blob_id.is_(None),
    )
    .values(blob_id=bindparam("p_blob_id"))
)
_LINKED = (
    select(blobs.c.id, blobs.c.digest, blobs.c.size)
    .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
    .where(
        repository_blobs.c.repository_id == bindparam("repository_id"),
        repository_blobs.c.hidden_at.is_(None),
        blobs.c.digest.in_(bindparam("digests", expanding=True)),
    )
    .order_by(blobs.c.digest)
)
_LOCKED_LINKED = per_dialect(lambda dialect: dialect.key_share(_LINKED))
_REFERENCING = (
    select(manifests.c.digest)
    .distinct()
    .join(manifest_blobs, manifest_blobs.c.manifest_id == manifests.c.id)
    .where(
        manifest_blobs.c.repository_id == bindparam("repository_id"),
        manifest_blobs.c.blob_id == bindparam("blob_id"),
        manifests.c.hidden_at.is_(None),
    )
    .order_by(manifests.c.digest)
    .limit(bindparam("at_most"))
)


def linked_blobs(
    tx: Transaction, repository_id: int, digests: Collection[Digest], *, lock: bool = False
) -> dict[Digest, LinkedBlob]:
    """Those of ``digests`` that the repository has; ``lock`` keeps their links from being removed until commit."""
    statement = _LOCKED_LINKED(tx.dialect) if lock else _LINKED
    wanted = sorted(set(digests))
    found: dict[Digest, LinkedBlob] = {}
    for start in range(0, len(wanted), _PARAMETERS_AT_MOST):
        rows = tx.execute(
            statement,
            {"repository_id": repository_id, "digests": wanted[start : start + _PARAMETERS_AT_MOST]},
        )
        found.update((row.digest, LinkedBlob(row.id, row.digest, row.size)) for row in rows)
    return found


def link_blob(tx: Transaction, repository_id: int, blob_id: int, digest: Digest, lease: timedelta) -> None:
    """Let the repository show the blob; a link that is there gets its lease extended and is shown again.

    The link's review is postponed. Manifests of the repository that named the digest while it had no such blob refer
    to it from now on.
    """
    lease_until = tx.now + lease
    tx.execute(
        _LINK(tx.dialect),
        {"repository_id": repository_id, "blob_id": blob_id, "linked_at": tx.now, "lease_until": lease_until},
    )
    queue_link(tx, repository_id, blob_id, Event.LINKED)
    tx.execute(_TIE_AWAITED, {"p_repository_id": repository_id, "p_digest": digest, "p_blob_id": blob_id})


def extend_link_lease(tx: Transaction, repository_id: int, blob_id: int, lease: timedelta) -> bool:
    """Keep an unreferenced link for another ``lease``; nothing happens to one that manifests refer to.

    False if there is no such link any more.
    """
    extended = tx.execute(
        update(repository_blobs)
        .where(
            repository_blobs.c.repository_id == repository_id,
            repository_blobs.c.blob_id == blob_id,
            ~exists().where(
                manifest_blobs.c.repository_id == repository_blobs.c.repository_id,
                manifest_blobs.c.blob_id == repository_blobs.c.blob_id,
            ),
        )
        .values(lease_until=tx.now + lease)
    ).rowcount
    return bool(extended) or link_is_referenced(tx, repository_id, blob_id)


def renew_links_of(tx: Transaction, manifest_ids: Collection[int], lease: timedelta) -> None:
    """Keep what manifests that are about to go name for at least ``lease`` from now."""
    lease_until = tx.now + lease
    named = select(manifest_blobs.c.repository_id, manifest_blobs.c.blob_id).where(
        manifest_blobs.c.manifest_id.in_(manifest_ids), manifest_blobs.c.blob_id.is_not(None)
    )
    tx.execute(
        update(repository_blobs)
        .where(
            tuple_(repository_blobs.c.repository_id, repository_blobs.c.blob_id).in_(named),
            repository_blobs.c.lease_until < lease_until,
        )
        .values(lease_until=lease_until)
    )


def link_is_referenced(tx: Transaction, repository_id: int, blob_id: int) -> bool:
    """Whether a manifest of the repository names the blob."""
    return tx.execute(
        select(exists().where(manifest_blobs.c.repository_id == repository_id, manifest_blobs.c.blob_id == blob_id))
    ).scalar_one()


def manifests_naming(tx: Transaction, repository_id: int, blob_id: int, at_most: int) -> list[Digest]:
    """Up to ``at_most`` visible manifests of the repository that name the blob."""
    parameters = {"repository_id": repository_id, "blob_id": blob_id, "at_most": at_most}
    return list(tx.execute(_REFERENCING, parameters).scalars())


def unlink_blob(tx: Transaction, repository_id: int, repository: str, blob_id: int) -> None:
    """Take the blob out of the repository of that name; raises ForeignKeyViolation while a manifest names it."""
    queue_blobs(tx, [(blob_id, repository)], Event.LINK_GONE)
    tx.execute(
        delete(repository_blobs).where(
            repository_blobs.c.repository_id == repository_id, repository_blobs.c.blob_id == blob_id
        )
    )


def find_readable(tx: Transaction, digest: Digest, repository_ids: Sequence[int]) -> LinkedBlob | None:
    """The blob with ``digest`` if one of the repositories has it whole, its link locked until commit."""
    row = tx.execute(
        tx.dialect.key_share(
            select(blobs.c.id, blobs.c.digest, blobs.c.size)
            .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
            .where(
                blobs.c.digest == digest,
                blobs.c.state != "damaged",  # whoever cannot mount it uploads it, which mends it
                repository_blobs.c.repository_id.in_(repository_ids),
                repository_blobs.c.hidden_at.is_(None),
            )
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else LinkedBlob(row.id, row.digest, row.size)


def repositories_having(tx: Transaction, digest: Digest, at_most: int) -> list[tuple[int, RepositoryName]]:
    """Row number and name of up to ``at_most`` repositories that have the blob."""
    rows = tx.execute(
        select(repositories.c.id, repositories.c.name)
        .join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id)
        .join(blobs, blobs.c.id == repository_blobs.c.blob_id)
        .where(blobs.c.digest == digest, repository_blobs.c.hidden_at.is_(None), repositories.c.state == "active")
        .order_by(repositories.c.name)
        .limit(at_most)
    )
    return [(row.id, RepositoryName(row.name)) for row in rows]


def store_blob(tx: Transaction, digest: Digest, objects: Sequence[StoredObject]) -> tuple[int, bool]:
    """The row of a blob made of durable ``objects``, and whether it has taken them.

    A blob that is there keeps its own objects and the new ones become dead, unless its bytes were found damaged:
    then the new ones take their place.
    """
    size = sum(piece.size for piece in objects)
    offered = {"digest": digest, "size": size, "state": "stored", "created_at": tx.now}
    there = None
    while there is None:  # the one that was there may be collected before it is locked
        made = tx.execute(_OFFER_BLOB(tx.dialect), offered).scalar_one_or_none()
        if made is not None:
            _own(tx, made, objects)
            return made, True
        # No more than it takes to keep the row: the collection holds a link of the blob and asks for that much as well.
        there = tx.execute(_KEPT_BLOB(tx.dialect), {"p_digest": digest}).one_or_none()
    if there.state != "stored":  # another upload may have mended it meanwhile
        there = tx.execute(_LOCKED_BLOB(tx.dialect), {"p_digest": digest}).one()
    if there.state == "stored":
        bury_objects(tx, objects, delete_after=tx.now)
        return int(there.id), False
    bury_objects(tx, blob_pieces(tx, there.id), delete_after=tx.now)
    tx.execute(delete(blob_objects).where(blob_objects.c.blob_id == there.id))
    _own(tx, there.id, objects)
    tx.execute(update(blobs).where(blobs.c.id == there.id).values(state="stored", size=size))
    return int(there.id), True


def blob_pieces(tx: Transaction, blob_id: int) -> list[StoredObject]:
    """The objects of a blob in order."""
    rows = tx.execute(
        select(blob_objects.c.store_id, blob_objects.c.key, blob_objects.c.size)
        .where(blob_objects.c.blob_id == blob_id)
        .order_by(blob_objects.c.ordinal)
    )
    return [StoredObject(row.store_id, row.key, row.size) for row in rows]


def has_blob_objects(tx: Transaction) -> bool:
    """Whether the store holds the bytes of any blob at all."""
    return tx.execute(select(blob_objects.c.key).limit(1)).one_or_none() is not None


def mark_damaged(tx: Transaction, blob_id: int, key: str) -> None:
    """Record that the store lacks this object of the blob; the next upload of the same digest mends it.

    Nothing happens if the blob has been mended meanwhile and has the object no more.
    """
    has_it = exists().where(blob_objects.c.blob_id == blobs.c.id, blob_objects.c.key == key)
    tx.execute(update(blobs).where(blobs.c.id == blob_id, has_it).values(state="damaged"))


def bury_objects(
    tx: Transaction, objects: Iterable[StoredObject], delete_after: datetime, repository: str = ""
) -> None:
    """Hand objects that nothing has any more to the deletion of bytes; ``repository`` names who had them last."""
    rows = [
        {
            "key": piece.key,
            "store_id": piece.store_id,
            "size": piece.size,
            "delete_after": delete_after,
            "repository": repository,
        }
        for piece in objects
    ]
    if rows:
        tx.execute(_BURY, rows)


def forget_dead_objects(tx: Transaction, keys: Sequence[str]) -> None:
    """Drop the rows of dead objects whose bytes are gone."""
    tx.execute(delete(dead_objects).where(dead_objects.c.key.in_(keys)))


def _own(tx: Transaction, blob_id: int, objects: Sequence[StoredObject]) -> None:
    rows = [
        {"blob_id": blob_id, "ordinal": ordinal, "store_id": piece.store_id, "key": piece.key, "size": piece.size}
        for ordinal, piece in enumerate(objects)
    ]
    if rows:
        tx.execute(_ADD_OBJECTS, rows)
