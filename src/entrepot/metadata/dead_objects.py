"""Objects whose bytes are to be deleted, and what the store holds that no row knows."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import starmap

from sqlalchemy import bindparam, delete, exists, func, select, update

from entrepot.metadata.tables import DEFAULT_STORE, blob_objects, dead_objects, reclaimed, upload_objects
from entrepot.metadata.transaction import Transaction


@dataclass(frozen=True, slots=True)
class DeadObject:
    """An object to be deleted: its key, its bytes as far as they are known, who had it last, refusals so far."""

    key: str
    size: int
    repository: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Space that came back from one repository (``""``: from none that is known)."""

    repository: str
    bytes: int
    objects: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """The store would not delete an object: why, and when to ask again."""

    key: str
    again_at: datetime
    error: str


_REFUSE = (
    update(dead_objects)
    .where(dead_objects.c.key == bindparam("p_key"))
    .values(delete_after=bindparam("p_again_at"), attempts=dead_objects.c.attempts + 1, last_error=bindparam("p_error"))
)


def claim_dead_objects(tx: Transaction, until: datetime, at_most: int, hold: timedelta) -> list[DeadObject]:
    """Up to ``at_most`` objects whose time came before ``until``, which nobody else gets for ``hold``.

    Never one that an upload or a blob has: whatever put it here, its bytes are in use.
    """
    in_use = exists().where(blob_objects.c.key == dead_objects.c.key) | exists().where(
        upload_objects.c.key == dead_objects.c.key
    )
    due = (
        select(dead_objects.c.key, dead_objects.c.size, dead_objects.c.repository, dead_objects.c.attempts)
        .where(dead_objects.c.delete_after <= until, ~in_use)
        .order_by(dead_objects.c.delete_after)
        .limit(at_most)
    )
    found = list(starmap(DeadObject, tx.execute(tx.dialect.for_update(due, skip_locked=True))))
    if found:
        keys = [dead.key for dead in found]
        tx.execute(update(dead_objects).where(dead_objects.c.key.in_(keys)).values(delete_after=tx.now + hold))
    return found


def settle_dead_objects(tx: Transaction, gone: Sequence[DeadObject]) -> None:
    """Forget objects whose bytes are gone, and add what came back to the accounts of their repositories."""
    deleted = set(
        tx.execute(
            delete(dead_objects)
            .where(dead_objects.c.key.in_([dead.key for dead in gone]))
            .returning(dead_objects.c.key)
        ).scalars()
    )
    sums: dict[str, tuple[int, int]] = {}
    for dead in gone:
        if dead.key in deleted:
            size, objects = sums.get(dead.repository, (0, 0))
            sums[dead.repository] = (size + dead.size, objects + 1)
    for repository, (size, objects) in sorted(sums.items()):
        tx.execute(
            tx.dialect.insert(reclaimed)
            .values(repository=repository, bytes=size, objects=objects, last_at=tx.now)
            .on_conflict_do_update(
                index_elements=["repository"],
                set_={
                    "bytes": reclaimed.c.bytes + size,
                    "objects": reclaimed.c.objects + objects,
                    "last_at": tx.now,
                },
            )
        )


def refuse_dead_objects(tx: Transaction, refusals: Iterable[Refusal]) -> None:
    """Record which objects the store would not delete; there is one at least."""
    tx.execute(
        _REFUSE,
        [
            {"p_key": refusal.key, "p_again_at": refusal.again_at, "p_error": refusal.error}
            for refusal in sorted(refusals, key=lambda refusal: refusal.key)
        ],
    )


def unknown_keys(tx: Transaction, keys: Collection[str]) -> set[str]:
    """Those keys that no row has; only a unit that reads sees all three tables at one instant."""
    known: set[str] = set()
    for table in (blob_objects, upload_objects, dead_objects):
        known.update(tx.execute(select(table.c.key).where(table.c.key.in_(keys))).scalars())
    return set(keys) - known


def bury_unknown(tx: Transaction, sizes: dict[str, int], delete_after: datetime) -> None:
    """Hand objects that no row had in one snapshot to the deletion of bytes; ``sizes`` are by key.

    A key is recorded before its first byte and never comes back, so what was unknown once stays so.
    """
    rows = [
        {"key": key, "store_id": DEFAULT_STORE, "size": size, "delete_after": delete_after}
        for key, size in sorted(sizes.items())
    ]
    if rows:
        tx.execute(tx.dialect.insert(dead_objects).on_conflict_do_nothing(index_elements=["key"]), rows)


def dead_totals(tx: Transaction) -> tuple[int, int, int, datetime | None]:
    """How many dead objects there are, their bytes, how many the store has refused, and the first instant due."""
    row = tx.execute(
        select(
            func.count(),
            func.coalesce(func.sum(dead_objects.c.size), 0),
            func.count().filter(dead_objects.c.attempts > 0),
            func.min(dead_objects.c.delete_after),
        )
    ).one()
    return int(row[0]), int(row[1]), int(row[2]), row[3]


def list_reclaimed(tx: Transaction, at_most: int) -> list[Reclaimed]:
    """What came back, from up to ``at_most`` repositories, the most bytes first."""
    rows = tx.execute(
        select(reclaimed.c.repository, reclaimed.c.bytes, reclaimed.c.objects, reclaimed.c.last_at)
        .order_by(reclaimed.c.bytes.desc(), reclaimed.c.repository)
        .limit(at_most)
    )
    return list(starmap(Reclaimed, rows))


def reclaimed_bytes(tx: Transaction) -> int:
    """All bytes that came back so far."""
    return int(tx.execute(select(func.coalesce(func.sum(reclaimed.c.bytes), 0))).scalar_one())
