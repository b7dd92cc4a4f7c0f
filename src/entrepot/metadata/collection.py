"""What the collection asks of the rows: who is due, who still refers to it, and its removal.

What is under review is locked before anybody is asked whether it is in use, and what others hold just now is left for
later: so neither waits for the other, and no new reference is overlooked. A row of a queue is read before the facts and
changed only if it is still the same, so an event that comes meanwhile is not lost.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    select,
    tuple_,
    update,
)

from entrepot.metadata.blobs import bury_objects
from entrepot.metadata.holders import Holding, what_holds
from entrepot.metadata.port import StoredObject
from entrepot.metadata.reviews import Event, queue_blobs
from entrepot.metadata.tables import (
    blob_objects,
    blob_reviews,
    blobs,
    link_reviews,
    manifest_blobs,
    manifest_children,
    manifest_reviews,
    manifests,
    pins,
    pull_counts,
    repositories,
    repository_blobs,
    tags,
)
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.types import InstantType, instant_to_microseconds
from entrepot.oci import Digest

PARKED = datetime(9000, 1, 1, tzinfo=UTC)
"""Where a row waits that only a change of settings can make due; any setting can be added to it."""

Key: TypeAlias = tuple[int, ...]
"""The primary key of a row under review: a manifest's or blob's number, or the numbers of repository and blob."""


class Queue(StrEnum):
    """The queues, in the order in which one fills the next."""

    MANIFESTS = "manifests"
    LINKS = "links"
    BLOBS = "blobs"


_SUBJECTS = {Queue.MANIFESTS: manifests, Queue.LINKS: repository_blobs, Queue.BLOBS: blobs}
_TABLES = {Queue.MANIFESTS: manifest_reviews, Queue.LINKS: link_reviews, Queue.BLOBS: blob_reviews}


def _postpone(table: Table) -> Update:
    columns = [*table.primary_key, table.c.event_at, table.c.waits_from]
    unchanged = [column == bindparam(f"p_{column.name}", type_=column.type) for column in columns]
    return update(table).where(*unchanged).values(waits_from=bindparam("p_until"))


_POSTPONE = {queue: _postpone(table) for queue, table in _TABLES.items()}


@dataclass(frozen=True, slots=True)
class Review:
    """A row of a queue: what is reviewed, which event made it so and when, how often a review has failed."""

    key: Key
    event: Event
    event_at: datetime
    waits_from: datetime
    attempts: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What decides on a manifest. ``pinned_until`` is ``PARKED`` for a pin without end."""

    id: int
    repository_id: int
    repository: str
    digest: Digest
    size: int
    tagged: bool
    has_parent: bool
    pinned_until: datetime | None
    has_subject: bool
    subject_there: bool
    has_kept_referrer: bool
    is_unclear: bool
    lease_until: datetime
    last_pulled_at: datetime | None


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What decides on a link."""

    repository_id: int
    blob_id: int
    repository: str
    digest: Digest
    size: int
    named: bool
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """What decides on a blob; ``repository`` gave it up last."""

    id: int
    repository: str
    digest: Digest
    size: int
    linked: bool


def due_reviews(tx: Transaction, queue: Queue, waits_until: datetime, at_most: int) -> list[Review]:
    """Up to ``at_most`` rows that have waited from ``waits_until`` or before, those first that wait the longest."""
    table = _TABLES[queue]
    keys = list(table.primary_key)
    statement = (
        select(table).where(table.c.waits_from <= waits_until).order_by(table.c.waits_from, *keys).limit(at_most)
    )
    return [_review(table, row) for row in tx.execute(statement)]


def reviews_of(tx: Transaction, queue: Queue, keys: Collection[Key], waits_until: datetime) -> list[Review]:
    """Those of the rows that are still due and that nobody else holds, locked until commit."""
    table = _TABLES[queue]
    due = select(table).where(_is_one_of(tx, table, keys), table.c.waits_from <= waits_until)
    rows = tx.execute(tx.dialect.for_update(due.order_by(*table.primary_key), skip_locked=True))
    return [_review(table, row) for row in rows]


@dataclass(frozen=True, slots=True)
class QueueTotals:
    """A queue at a glance: rows that wait, that are parked, whose review has failed; since when the oldest waits."""

    waiting: int
    parked: int
    failing: int
    oldest: datetime | None


def queue_totals(tx: Transaction, queue: Queue) -> QueueTotals:
    """Count a queue's rows."""
    table = _TABLES[queue]
    is_parked = table.c.waits_from >= literal(PARKED, InstantType)
    row = tx.execute(
        select(
            func.count().filter(~is_parked),
            func.count().filter(is_parked),
            func.count().filter(table.c.attempts > 0),
            func.min(table.c.waits_from).filter(~is_parked),
        ).select_from(table)
    ).one()
    return QueueTotals(int(row[0]), int(row[1]), int(row[2]), row[3])


def drop_reviews(tx: Transaction, queue: Queue, reviews: Collection[Review]) -> None:
    """Take rows out of the queue, except those that an event has changed since they were read."""
    if reviews:
        table = _TABLES[queue]
        tx.execute(delete(table).where(_is_unchanged(tx, table, reviews)))


def postpone_reviews(tx: Transaction, queue: Queue, reviews: Collection[tuple[Review, datetime]]) -> None:
    """Let rows wait each from its instant, except those that an event has changed since they were read."""
    if reviews:
        tx.execute(_POSTPONE[queue], [{**_seen(queue, review), "p_until": until} for review, until in reviews])


def fail_review(tx: Transaction, queue: Queue, review: Review, waits_from: datetime, error: str) -> None:
    """Record that a review failed, and let it wait from that instant before the next attempt."""
    table = _TABLES[queue]
    tx.execute(
        update(table)
        .where(_is_unchanged(tx, table, [review]))
        .values(waits_from=waits_from, attempts=table.c.attempts + 1, last_error=error)
    )


def resume_parked(tx: Transaction, at_most: int) -> int:
    """Let up to ``at_most`` manifests wait from now that were parked under other settings; how many there were."""
    parked = (
        select(manifest_reviews.c.manifest_id)
        .where(manifest_reviews.c.waits_from >= literal(PARKED, InstantType))
        .order_by(manifest_reviews.c.waits_from)
        .limit(at_most)
    )
    resumed = update(manifest_reviews).where(manifest_reviews.c.manifest_id.in_(parked.scalar_subquery()))
    return tx.execute(resumed.values(waits_from=tx.now)).rowcount


def lock_reviewed(tx: Transaction, queue: Queue, keys: Collection[Key]) -> list[Key]:
    """Lock what the rows are about until commit; returns the keys of those that nobody else holds."""
    table = _SUBJECTS[queue]
    columns = _key_of(table)
    statement = select(*columns).where(_is_one_of(tx, table, keys)).order_by(*columns)
    return [tuple(row) for row in tx.execute(tx.dialect.for_update(statement, skip_locked=True))]


def manifest_facts(tx: Transaction, keys: Collection[Key]) -> list[ManifestFacts]:
    """What decides on these manifests."""
    subjects = manifests.alias()
    statement = (
        select(
            manifests.c.id,
            manifests.c.repository_id,
            repositories.c.name.label("repository"),
            manifests.c.digest,
            manifests.c.size,
            manifests.c.subject,
            manifests.c.lease_until,
            _is_tagged(manifests).label("tagged"),
            select(func.max(func.coalesce(pins.c.expires_at, literal(PARKED, InstantType))))
            .where(_same_digest(pins, manifests))
            .scalar_subquery()
            .label("pinned_until"),
            exists()
            .where(subjects.c.repository_id == manifests.c.repository_id, subjects.c.digest == manifests.c.subject)
            .label("subject_there"),
            select(func.max(pull_counts.c.last_at))
            .where(_same_digest(pull_counts, manifests))
            .scalar_subquery()
            .label("last_pulled_at"),
            exists().where(_same_digest(manifest_children, manifests)).label("has_parent"),
            exists().where(manifest_children.c.manifest_id == manifests.c.id).label("has_child"),
            exists()
            .where(subjects.c.repository_id == manifests.c.repository_id, subjects.c.subject == manifests.c.digest)
            .label("has_referrer"),
        )
        .join(repositories, repositories.c.id == manifests.c.repository_id)
        .where(_is_one_of(tx, manifests, keys))
        .order_by(manifests.c.id)
    )
    rows = tx.execute(statement).all()
    holding = _holding(tx, rows)
    return [
        ManifestFacts(
            id=row.id,
            repository_id=row.repository_id,
            repository=row.repository,
            digest=row.digest,
            size=row.size,
            tagged=bool(row.tagged),
            has_parent=holding[row.id].by_parent,
            pinned_until=row.pinned_until,
            has_subject=row.subject is not None,
            subject_there=bool(row.subject_there),
            has_kept_referrer=holding[row.id].by_referrer,
            is_unclear=holding[row.id].is_unclear,
            lease_until=max(row.lease_until, holding[row.id].lease_until or row.lease_until),
            last_pulled_at=row.last_pulled_at,
        )
        for row in rows
    ]


def _holding(tx: Transaction, rows: Sequence[Row[*tuple[Any, ...]]]) -> dict[int, Holding]:
    """What indexes and referrers do for each; only where these may be kept by the manifest itself is more asked."""
    holding: dict[int, Holding] = {}
    unclear: defaultdict[int, list[int]] = defaultdict(list)
    for row in rows:
        if row.tagged or row.subject_there or not (row.has_parent or row.has_referrer):
            holding[row.id] = Holding()
        elif not (row.has_child or row.has_referrer):
            holding[row.id] = Holding(by_parent=True)
        else:
            unclear[row.repository_id].append(row.id)
    for repository_id, ids in unclear.items():
        holding |= what_holds(tx, repository_id, ids)
    return holding


def link_facts(tx: Transaction, keys: Collection[Key]) -> list[LinkFacts]:
    """What decides on these links."""
    statement = (
        select(
            repository_blobs.c.repository_id,
            repository_blobs.c.blob_id,
            repositories.c.name.label("repository"),
            blobs.c.digest,
            blobs.c.size,
            repository_blobs.c.lease_until,
            exists()
            .where(
                manifest_blobs.c.repository_id == repository_blobs.c.repository_id,
                manifest_blobs.c.blob_id == repository_blobs.c.blob_id,
            )
            .label("named"),
        )
        .join(repositories, repositories.c.id == repository_blobs.c.repository_id)
        .join(blobs, blobs.c.id == repository_blobs.c.blob_id)
        .where(_is_one_of(tx, repository_blobs, keys))
    )
    return [
        LinkFacts(
            row.repository_id, row.blob_id, row.repository, row.digest, row.size, bool(row.named), row.lease_until
        )
        for row in tx.execute(statement)
    ]


def blob_facts(tx: Transaction, keys: Collection[Key]) -> list[BlobFacts]:
    """What decides on these blobs."""
    statement = (
        select(
            blobs.c.id,
            blobs.c.digest,
            blobs.c.size,
            blob_reviews.c.repository,
            exists().where(repository_blobs.c.blob_id == blobs.c.id).label("linked"),
        )
        .join(blob_reviews, blob_reviews.c.blob_id == blobs.c.id)
        .where(_is_one_of(tx, blobs, keys))
    )
    return [BlobFacts(row.id, row.repository, row.digest, row.size, bool(row.linked)) for row in tx.execute(statement)]


def remove_links(tx: Transaction, links: Sequence[LinkFacts]) -> None:
    """Delete links that no manifest names, and have their blobs reviewed; raises ForeignKeyViolation if one does."""
    keys = [(link.repository_id, link.blob_id) for link in links]
    queue_blobs(tx, [(link.blob_id, link.repository) for link in links], Event.LINK_GONE)
    tx.execute(delete(repository_blobs).where(_is_one_of(tx, repository_blobs, keys)))


def remove_blobs(tx: Transaction, gone: Sequence[BlobFacts], delete_after: datetime) -> None:
    """Delete blobs that no repository has; their bytes are deleted after that instant.

    Raises ForeignKeyViolation if one has.
    """
    names = {blob.id: blob.repository for blob in gone}
    pieces = tx.execute(
        select(blob_objects.c.blob_id, blob_objects.c.store_id, blob_objects.c.key, blob_objects.c.size).where(
            blob_objects.c.blob_id.in_(names)
        )
    ).all()
    given_up: defaultdict[str, list[StoredObject]] = defaultdict(list)
    for piece in pieces:
        given_up[names[piece.blob_id]].append(StoredObject(piece.store_id, piece.key, piece.size))
    for repository, objects in sorted(given_up.items()):
        bury_objects(tx, objects, delete_after, repository)
    tx.execute(delete(blob_objects).where(blob_objects.c.blob_id.in_(names)))
    tx.execute(delete(blobs).where(blobs.c.id.in_(names)))


def _key_of(table: Table) -> list[ColumnElement[int]]:
    return list(table.primary_key)


def _is_one_of(tx: Transaction, table: Table, keys: Collection[Key]) -> ColumnElement[bool]:
    columns = _key_of(table)
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return tuple_(*columns).in_(tx.dialect.numbers(list(keys), len(columns)))


def _is_unchanged(tx: Transaction, table: Table, reviews: Collection[Review]) -> ColumnElement[bool]:
    columns = [*_key_of(table), table.c.event_at, table.c.waits_from]
    seen = [
        (*review.key, instant_to_microseconds(review.event_at), instant_to_microseconds(review.waits_from))
        for review in reviews
    ]
    return tuple_(*columns).in_(tx.dialect.numbers(seen, len(columns)))


def _seen(queue: Queue, review: Review) -> dict[str, Any]:
    """A row as it was read, for a statement that changes it only if it still is like that."""
    key = {f"p_{column.name}": value for column, value in zip(_TABLES[queue].primary_key, review.key, strict=True)}
    return {**key, "p_event_at": review.event_at, "p_waits_from": review.waits_from}


def _same_digest(table: Table, manifest: FromClause) -> ColumnElement[bool]:
    return and_(table.c.repository_id == manifest.c.repository_id, table.c.digest == manifest.c.digest)


def _is_tagged(manifest: FromClause) -> ColumnElement[bool]:
    return exists().where(tags.c.repository_id == manifest.c.repository_id, tags.c.manifest_id == manifest.c.id)


def _review(table: Table, row: Row[*tuple[Any, ...]]) -> Review:
    values = row._mapping  # ruff: ignore[private-member-access]  SQLAlchemy's public name for it
    return Review(
        key=tuple(values[column.name] for column in table.primary_key),
        event=Event(row.event),
        event_at=row.event_at,
        waits_from=row.waits_from,
        attempts=row.attempts,
        last_error=row.last_error,
    )
