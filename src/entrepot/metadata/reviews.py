"""Filling the queues of the collection, in the transaction that may have made something unreferenced.

An event postpones the review of what it concerns. A review finds out by itself whether something is still in use, so
one event too many costs a look, and one too few would leak space: in doubt, queue.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial

from sqlalchemy import Select, Table, literal, select
from sqlalchemy.dialects.sqlite import Insert

from entrepot.metadata.dialect import Dialect, per_dialect
from entrepot.metadata.tables import (
    blob_reviews,
    link_reviews,
    manifest_blobs,
    manifest_children,
    manifest_reviews,
    manifests,
)
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.types import InstantType


class Event(StrEnum):
    """What may have made something unreferenced, or has just made it."""

    PUSHED = "pushed"
    TAG_GONE = "tag-gone"
    PARENT_GONE = "parent-gone"
    SUBJECT_GONE = "subject-gone"
    REFERRER_GONE = "referrer-gone"
    LINKED = "linked"
    MANIFEST_GONE = "manifest-gone"
    LINK_GONE = "link-gone"
    FOUND = "found"
    """A sweep has found that nothing seems to refer to it, and that no queue has it."""


def queue_manifests(tx: Transaction, manifest_ids: Iterable[int], event: Event) -> None:
    """Have these manifests reviewed."""
    _queue(tx, manifest_reviews, [{"manifest_id": number} for number in sorted(manifest_ids)], event)


def queue_link(tx: Transaction, repository_id: int, blob_id: int, event: Event) -> None:
    """Have a link reviewed."""
    _queue(tx, link_reviews, [{"repository_id": repository_id, "blob_id": blob_id}], event)


def queue_blobs(tx: Transaction, given_up: Iterable[tuple[int, str]], event: Event) -> None:
    """Have blobs reviewed, each with the name of the repository that has given it up."""
    rows: list[dict[str, int | str]] = [{"blob_id": number, "repository": name} for number, name in sorted(given_up)]
    _queue(tx, blob_reviews, rows, event)


def queue_links_of(tx: Transaction, manifest_ids: Collection[int]) -> None:
    """Have the link of every blob reviewed that one of these manifests names, which are about to go."""
    named = (
        select(manifest_blobs.c.repository_id, manifest_blobs.c.blob_id)
        .where(manifest_blobs.c.manifest_id.in_(manifest_ids), manifest_blobs.c.blob_id.is_not(None))
        .distinct()
        .order_by(manifest_blobs.c.repository_id, manifest_blobs.c.blob_id)
    )
    _queue_selected(tx, link_reviews, named, ["repository_id", "blob_id"], Event.MANIFEST_GONE)


def neighbours_of(tx: Transaction, manifest_ids: Collection[int]) -> dict[Event, set[int]]:
    """The other manifests that these keep, by what happens to them when these go."""
    going = manifests.alias()
    is_near = {
        Event.PARENT_GONE: (
            manifest_children,
            (manifest_children.c.repository_id == manifests.c.repository_id)
            & (manifest_children.c.digest == manifests.c.digest),
            manifest_children.c.manifest_id,
        ),
        Event.SUBJECT_GONE: (
            going,
            (going.c.repository_id == manifests.c.repository_id) & (going.c.digest == manifests.c.subject),
            going.c.id,
        ),
        Event.REFERRER_GONE: (
            going,
            (going.c.repository_id == manifests.c.repository_id) & (going.c.subject == manifests.c.digest),
            going.c.id,
        ),
    }
    # Not DISTINCT: for its order SQLite would go through all manifests of the repository.
    return {
        event: set(
            tx.execute(
                select(manifests.c.id)
                .join(table, condition)
                .where(number.in_(manifest_ids), manifests.c.id.not_in(manifest_ids))
            ).scalars()
        )
        for event, (table, condition, number) in is_near.items()
    }


def subjects_of(tx: Transaction, manifest_ids: Iterable[int]) -> list[int]:
    """The subjects of these manifests, the subjects of those, and so on."""
    columns = (manifests.c.repository_id, manifests.c.subject)
    below = select(manifests.c.id, *columns).where(manifests.c.id.in_(list(manifest_ids))).cte("below", recursive=True)
    below = below.union(
        select(manifests.c.id, *columns).where(
            manifests.c.repository_id == below.c.repository_id, manifests.c.digest == below.c.subject
        )
    )
    return list(tx.execute(select(below.c.id).where(below.c.id.not_in(list(manifest_ids)))).scalars())


def _queue(tx: Transaction, table: Table, rows: Sequence[Mapping[str, int | str]], event: Event) -> None:
    if not rows:
        return
    values = {"event": event.value, "event_at": tx.now, "waits_from": tx.now}
    tx.execute(_OFFERS[table.name](tx.dialect), [{**row, **values} for row in rows])


def _offer(dialect: Dialect, table: Table) -> Insert:
    """A row for the queue, in place of the one that is there."""
    offer = dialect.insert(table)
    given = [name for name in ("event", "event_at", "waits_from", "repository") if name in table.c]
    updated = {**{name: offer.excluded[name] for name in given}, "attempts": 0, "last_error": None}
    return offer.on_conflict_do_update(index_elements=list(table.primary_key), set_=updated)


_OFFERS = {
    table.name: per_dialect(partial(_offer, table=table)) for table in (manifest_reviews, link_reviews, blob_reviews)
}


def _queue_selected(
    tx: Transaction, table: Table, chosen: Select[int, int | None], names: list[str], event: Event
) -> None:
    at = literal(tx.now, InstantType)
    filled = chosen.add_columns(literal(event.value), at, at)
    tx.execute(
        tx.dialect.insert(table)
        .from_select([*names, "event", "event_at", "waits_from"], filled)
        .on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={
                "event": event.value,
                "event_at": tx.now,
                "waits_from": tx.now,
                "attempts": 0,
                "last_error": None,
            },
        )
    )
