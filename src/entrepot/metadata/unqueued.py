"""What nothing seems to refer to and no queue has: what an event that was missed would leave behind for ever."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, and_, exists, literal, select, tuple_
from sqlalchemy.sql.selectable import Exists

from entrepot.metadata.collection import Key, Queue
from entrepot.metadata.reviews import Event
from entrepot.metadata.tables import (
    blob_reviews,
    blobs,
    link_reviews,
    manifest_blobs,
    manifest_children,
    manifest_reviews,
    manifests,
    repository_blobs,
    tags,
)
from entrepot.metadata.transaction import Transaction

_parents = manifests.alias()
_subjects = manifests.alias()


def _tagged(manifest: Any) -> Exists:
    return exists().where(tags.c.repository_id == manifest.c.repository_id, tags.c.manifest_id == manifest.c.id)


# A tag that goes has the index's children and the subject's referrers reviewed, so these are not looked at either.
_UNTAGGED = and_(
    ~_tagged(manifests),
    ~exists().where(
        manifest_children.c.repository_id == manifests.c.repository_id,
        manifest_children.c.digest == manifests.c.digest,
        _parents.c.id == manifest_children.c.manifest_id,
        _tagged(_parents),
    ),
    ~exists().where(
        _subjects.c.repository_id == manifests.c.repository_id,
        _subjects.c.digest == manifests.c.subject,
        _tagged(_subjects),
    ),
    ~exists().where(manifest_reviews.c.manifest_id == manifests.c.id),
)
_NOT_NAMED = and_(
    ~exists().where(
        manifest_blobs.c.repository_id == repository_blobs.c.repository_id,
        manifest_blobs.c.blob_id == repository_blobs.c.blob_id,
    ),
    ~exists().where(
        link_reviews.c.repository_id == repository_blobs.c.repository_id,
        link_reviews.c.blob_id == repository_blobs.c.blob_id,
    ),
)
_NOT_LINKED = and_(
    ~exists().where(repository_blobs.c.blob_id == blobs.c.id), ~exists().where(blob_reviews.c.blob_id == blobs.c.id)
)
_SEARCHED: Final[dict[Queue, tuple[Table, Table, ColumnElement[bool], dict[str, str]]]] = {
    Queue.MANIFESTS: (manifests, manifest_reviews, _UNTAGGED, {}),
    Queue.LINKS: (repository_blobs, link_reviews, _NOT_NAMED, {}),
    Queue.BLOBS: (blobs, blob_reviews, _NOT_LINKED, {"repository": ""}),
}
"""What is searched, its queue, what has to hold, and what else the queue wants to know."""


def find_unqueued(tx: Transaction, queue: Queue, after: Key | None, at_most: int) -> tuple[Key | None, list[Key]]:
    """Look at up to ``at_most`` rows after a key, in the order of keys.

    Returns the last one looked at, None at the end, and those that nothing seems to refer to and the queue has not.
    """
    table, _, condition, _ = _SEARCHED[queue]
    columns = list(table.primary_key)
    rows = select(*columns).order_by(*columns)
    if after is not None:
        rows = rows.where(_is_after(columns, after))
    last = tx.execute(rows.offset(at_most - 1).limit(1)).one_or_none()
    wanted = rows.where(condition)
    if last is not None:
        wanted = wanted.where(~_is_after(columns, tuple(last)))
    return None if last is None else tuple(last), [tuple(row) for row in tx.execute(wanted)]


def queue_unqueued(tx: Transaction, queue: Queue, keys: Sequence[Key]) -> int:
    """Have those of the keys reviewed that are there and that the queue has not; returns how many."""
    table, reviews, condition, more = _SEARCHED[queue]
    columns = list(table.primary_key)
    there = select(*columns).where(tuple_(*columns).in_(tx.dialect.numbers(keys, len(columns))), condition)
    rows = tx.execute(tx.dialect.key_share(there.order_by(*columns))).all()
    if not rows:
        return 0
    values = {"event": Event.FOUND.value, "event_at": tx.now, "waits_from": tx.now, **more}
    names = [column.name for column in reviews.primary_key]
    adding = tx.dialect.insert(reviews).on_conflict_do_nothing(index_elements=names)
    tx.execute(adding, [{**dict(zip(names, row, strict=True)), **values} for row in rows])
    return len(rows)


def _is_after(columns: Sequence[ColumnElement[int]], key: Key) -> ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0] > key[0]
    return tuple_(*columns) > tuple_(*map(literal, key))
