"""Whether indexes and referrers keep a manifest, or only such as the manifest itself keeps."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

from entrepot.metadata.tables import manifest_children, manifests, pins, tags
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest

_NODES_AT_MOST = 2000  # manifests that one review looks at
_LEVELS_AT_MOST = 32  # of referrers of referrers


@dataclass(frozen=True, slots=True)
class Holding:
    """What keeps a manifest; ``lease_until`` is the longest lease of indexes that it keeps and that name it.

    ``is_unclear`` when so much hangs on the manifest that a review does not look through it.
    """

    by_parent: bool = False
    by_referrer: bool = False
    lease_until: datetime | None = None
    is_unclear: bool = False


class _TooMuchError(Exception):
    """The walk has met its bounds."""


@dataclass(frozen=True, slots=True)
class _Node:
    id: int
    digest: Digest
    subject: Digest | None
    lease_until: datetime
    is_rooted: bool


def what_holds(tx: Transaction, repository_id: int, manifest_id: int) -> Holding:
    """Look from the manifest to its indexes and referrers, and on to theirs.

    A manifest keeps its referrers, and an index its children. An index with a subject may name that very subject: then
    each would keep the other for ever, so what the manifest itself keeps counts only if a tag, a pin, or something that
    the manifest does not keep stands behind it.
    """
    try:
        below = _below(tx, repository_id, manifest_id)
    except _TooMuchError:
        return Holding(is_unclear=True)
    own_parents = _parents(tx, repository_id, [below[manifest_id].digest])
    held, holders = _walk(tx, repository_id, manifest_id, below)
    leases = [below[number].lease_until for number in holders]
    return Holding(held and bool(own_parents), held and not own_parents, max(leases, default=None))


def _walk(tx: Transaction, repository_id: int, manifest_id: int, below: dict[int, _Node]) -> tuple[bool, set[int]]:
    """Whether something else stands behind the manifest, and the indexes that were passed on the way."""
    by_digest = {node.digest: node for node in below.values()}
    seen, to_follow, holders = {manifest_id}, [below[manifest_id]], set[int]()
    while to_follow:
        digests = {node.digest for node in to_follow}
        parents = _parents(tx, repository_id, digests)
        if not parents <= below.keys():
            return True, holders
        holders |= parents
        subjects = {below[number].subject for number in parents} - {None}
        if _present(tx, repository_id, subjects) - by_digest.keys():
            return True, holders
        found = parents | {node.id for node in below.values() if node.subject in digests}
        found |= {by_digest[subject].id for subject in subjects if subject in by_digest}
        to_follow = [below[number] for number in found - seen]
        seen |= found
        if any(node.is_rooted for node in to_follow):
            return True, holders
    return False, holders


def _below(tx: Transaction, repository_id: int, manifest_id: int) -> dict[int, _Node]:
    """The manifest and all that it keeps: its referrers and children, theirs, and so on."""
    below = {node.id: node for node in _nodes(tx, _node_columns(tx).where(manifests.c.id == manifest_id))}
    latest = list(below.values())
    levels = 0
    while latest:
        levels += 1
        if levels > _LEVELS_AT_MOST:
            raise _TooMuchError
        children = (
            select(manifest_children.c.digest)
            .where(manifest_children.c.manifest_id.in_([node.id for node in latest]))
            .scalar_subquery()
        )
        is_referrer = manifests.c.subject.in_([node.digest for node in latest])
        found = {
            node.id: node
            for condition in (is_referrer, manifests.c.digest.in_(children))
            for node in _nodes(tx, _node_columns(tx).where(manifests.c.repository_id == repository_id, condition))
        }
        latest = [node for number, node in found.items() if number not in below]
        below |= found
        if len(below) > _NODES_AT_MOST:
            raise _TooMuchError
    return below


def _node_columns(tx: Transaction) -> Select[int, Digest, Digest, datetime, bool]:
    is_tagged = exists().where(tags.c.repository_id == manifests.c.repository_id, tags.c.manifest_id == manifests.c.id)
    return select(
        manifests.c.id,
        manifests.c.digest,
        manifests.c.subject,
        manifests.c.lease_until,
        or_(is_tagged, _is_pinned(tx)).label("is_rooted"),
    )


def _is_pinned(tx: Transaction) -> ColumnElement[bool]:
    return exists().where(
        and_(pins.c.repository_id == manifests.c.repository_id, pins.c.digest == manifests.c.digest),
        or_(pins.c.expires_at.is_(None), pins.c.expires_at > tx.now),
    )


def _nodes(tx: Transaction, statement: Select[int, Digest, Digest, datetime, bool]) -> list[_Node]:
    return [
        _Node(row.id, row.digest, row.subject, row.lease_until, bool(row.is_rooted))
        for row in tx.execute(statement.limit(_NODES_AT_MOST + 1))
    ]


def _parents(tx: Transaction, repository_id: int, digests: Collection[Digest]) -> set[int]:
    """The indexes that name one of these."""
    chosen = select(manifest_children.c.manifest_id).where(
        manifest_children.c.repository_id == repository_id, manifest_children.c.digest.in_(list(digests))
    )
    return set(tx.execute(chosen).scalars())


def _present(tx: Transaction, repository_id: int, digests: Collection[Digest | None]) -> set[Digest]:
    """Those that the repository has."""
    if not digests:
        return set()
    chosen = select(manifests.c.digest).where(
        manifests.c.repository_id == repository_id, manifests.c.digest.in_(list(digests))
    )
    return set(tx.execute(chosen).scalars())
