"""Whether indexes, referrers and subjects keep a manifest, or only such as the manifest itself keeps."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

from entrepot.metadata.tables import manifest_children, manifests, pins, tags
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest

_NODES_AT_MOST = 2000  # manifests that are looked at at once
_LEVELS_AT_MOST = 32  # of referrers of referrers
_PARAMETERS_AT_MOST = 500  # per statement: both databases take far more, plans stay small


@dataclass(frozen=True, slots=True)
class Holding:
    """What keeps a manifest.

    ``lease_until`` is the longest lease of what the manifest keeps and what would, with a tag, keep it in turn.
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


def what_holds(tx: Transaction, repository_id: int, manifest_ids: Sequence[int]) -> dict[int, Holding]:
    """What keeps each of these manifests, none of which has a subject in the repository.

    An index keeps its children, a subject its referrers, and a referrer that stays its subject. So manifests may keep
    each other in a circle: what a manifest itself keeps counts only if a tag, a pin, or something that the manifest
    does not keep stands behind it.
    """
    try:
        graph = _load(tx, repository_id, manifest_ids)
    except _TooMuchError:
        if len(manifest_ids) == 1:
            return {manifest_ids[0]: Holding(is_unclear=True)}
        middle = len(manifest_ids) // 2
        first, second = manifest_ids[:middle], manifest_ids[middle:]
        return what_holds(tx, repository_id, first) | what_holds(tx, repository_id, second)
    return {number: graph.what_holds(number) for number in manifest_ids}


class _Graph:
    """Some manifests and all that they keep, with the numbers of every index that names one of them."""

    def __init__(self, nodes: dict[int, _Node], names: Iterable[tuple[int, Digest]]) -> None:
        self._nodes = nodes
        by_digest = {node.digest: node.id for node in nodes.values()}
        self._subject = {
            node.id: by_digest[node.subject] for node in nodes.values() if node.subject and node.subject in by_digest
        }
        self._referrers: defaultdict[int, set[int]] = defaultdict(set)
        for referrer, subject in self._subject.items():
            self._referrers[subject].add(referrer)
        self._parents: defaultdict[int, set[int]] = defaultdict(set)
        self._children: defaultdict[int, set[int]] = defaultdict(set)
        for parent, child in names:
            self._parents[by_digest[child]].add(parent)
            self._children[parent].add(by_digest[child])

    def what_holds(self, manifest_id: int) -> Holding:
        """Look from the manifest to what may keep it, and on to what may keep that."""
        is_held, holders = self._climb(manifest_id)
        has_parent = bool(self._parents[manifest_id])
        leases = [self._nodes[number].lease_until for number in holders]
        return Holding(is_held and has_parent, is_held and not has_parent, max(leases, default=None))

    def _climb(self, manifest_id: int) -> tuple[bool, set[int]]:
        """Whether something else stands behind the manifest; if not, the indexes and subjects met on the way."""
        below = self._kept_by(manifest_id)
        seen, latest, holders = {manifest_id}, {manifest_id}, set[int]()
        while latest:
            parents = set[int]().union(*(self._parents[number] for number in latest))
            if not parents <= below:
                return True, set()
            holders |= parents | self._subjects(latest)
            latest = (parents | self._subjects(latest) | self._all_referrers(latest)) - seen
            seen |= latest
            if any(self._nodes[number].is_rooted for number in latest):
                return True, set()
        return False, holders - {manifest_id}

    def _kept_by(self, manifest_id: int) -> set[int]:
        kept, latest = {manifest_id}, {manifest_id}
        while latest:
            children = set[int]().union(*(self._children[number] for number in latest))
            latest = (children | self._subjects(latest) | self._all_referrers(latest)) - kept
            kept |= latest
        return kept

    def _subjects(self, numbers: set[int]) -> set[int]:
        return {self._subject[number] for number in numbers if number in self._subject}

    def _all_referrers(self, numbers: set[int]) -> set[int]:
        return set[int]().union(*(self._referrers[number] for number in numbers))


def _load(tx: Transaction, repository_id: int, manifest_ids: Sequence[int]) -> _Graph:
    """The manifests and all that they keep: children, referrers and subjects, theirs, and so on."""
    nodes = {node.id: node for node in _nodes(tx, _node_columns(tx).where(manifests.c.id.in_(manifest_ids)))}
    latest = list(nodes.values())
    levels = 0
    while latest:
        levels += 1
        found = {node.id: node for node in _next_level(tx, repository_id, nodes, latest)}
        latest = [node for number, node in found.items() if number not in nodes]
        nodes |= found
        if levels > _LEVELS_AT_MOST or len(nodes) > _NODES_AT_MOST:
            raise _TooMuchError
    return _Graph(nodes, _parents(tx, repository_id, [node.digest for node in nodes.values()]))


def _next_level(
    tx: Transaction, repository_id: int, nodes: dict[int, _Node], latest: Sequence[_Node]
) -> Iterable[_Node]:
    children = (
        select(manifest_children.c.digest)
        .where(manifest_children.c.manifest_id.in_([node.id for node in latest]))
        .scalar_subquery()
    )
    conditions = [manifests.c.subject.in_([node.digest for node in latest]), manifests.c.digest.in_(children)]
    subjects = {node.subject for node in latest if node.subject} - {node.digest for node in nodes.values()}
    if subjects:
        conditions.append(manifests.c.digest.in_(subjects))
    for condition in conditions:
        yield from _nodes(tx, _node_columns(tx).where(manifests.c.repository_id == repository_id, condition))


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


def _parents(tx: Transaction, repository_id: int, digests: Sequence[Digest]) -> list[tuple[int, Digest]]:
    """The indexes that name one of these, and which."""
    found: list[tuple[int, Digest]] = []
    for start in range(0, len(digests), _PARAMETERS_AT_MOST):
        wanted: Collection[Digest] = digests[start : start + _PARAMETERS_AT_MOST]
        rows = tx.execute(
            select(manifest_children.c.manifest_id, manifest_children.c.digest).where(
                manifest_children.c.repository_id == repository_id, manifest_children.c.digest.in_(wanted)
            )
        )
        found.extend((row.manifest_id, row.digest) for row in rows)
    return found
