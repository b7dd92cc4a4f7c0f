"""Whether a registry at rest holds exactly what its tags keep: rows against rows, rows against the store."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Table, func, select

from collection.ledger import Ledger, Pushed, blobs_of, held, read_pushed
from entrepot.compose import policy_of
from entrepot.lifecycle import CollectGarbage, DeleteObjects, ExpireUploads, ReviewBatch
from entrepot.metadata import Database, Transaction
from entrepot.metadata.tables import (
    blob_objects,
    blob_reviews,
    blobs,
    dead_objects,
    link_reviews,
    manifest_reviews,
    manifests,
    repositories,
    repository_blobs,
    tags,
    upload_objects,
    upload_sessions,
)
from entrepot.settings import Settings
from entrepot.storage import BlobStore

_LATER = timedelta(days=30)  # longer than every lease, claim and session
_PASSES_AT_MOST = 10


class LaterClock:
    """The time when every promise that is given now is over."""

    def steady(self, now: datetime) -> datetime:
        """That much later."""
        return now + _LATER


async def collect_to_the_end(settings: Settings, database: Database, store: BlobStore) -> None:
    """Collect as if all leases had passed, until nothing is left to decide."""
    clock = LaterClock()
    collect = CollectGarbage(
        database,
        ReviewBatch(database, policy_of(settings), clock),
        ExpireUploads(database, clock),
        DeleteObjects(database, store, clock),
    )
    for _ in range(_PASSES_AT_MOST):
        collected = await collect()
        assert collected.failures == 0
        if not (collected.manifests.decided + collected.links.decided + collected.blobs.decided):
            return
    raise AssertionError("the collection does not come to an end")


@dataclass(frozen=True, slots=True)
class Found:
    """What one repository holds by its rows."""

    tags: dict[str, str]
    manifests: dict[str, Pushed]
    blobs: set[str]


async def audit(database: Database, store: BlobStore, ledgers: dict[str, Ledger]) -> int:
    """Compare everything with everything; returns the bytes in the store."""
    found = await database.read(read_repositories)
    for name, repository in found.items():
        ledger = ledgers[name]
        ledger.forget_unneeded()
        assert repository.tags == ledger.tags, name
        assert set(repository.manifests) == held(repository.tags.values(), repository.manifests), name
        assert repository.blobs == blobs_of(repository.manifests.values()), name
        assert set(repository.manifests) >= set(ledger.manifests), name
        assert repository.blobs >= set(ledger.blobs), name
    for name, ledger in ledgers.items():
        assert name in found or not ledger.tags
    linked = set().union(*(repository.blobs for repository in found.values()))
    assert await database.read(lambda tx: {str(row) for row in tx.execute(select(blobs.c.digest)).scalars()}) == linked
    for table in (manifest_reviews, link_reviews, blob_reviews, dead_objects, upload_objects, upload_sessions):
        assert await database.read(partial(_count, table=table)) == 0, table.name
    keys = await database.read(lambda tx: {row.key: row.size for row in tx.execute(select(blob_objects))})
    assert await stored_keys(store) == set(keys)
    return sum(keys.values())


def _count(tx: Transaction, table: Table) -> int:
    return tx.execute(select(func.count()).select_from(table)).scalar_one()


async def stored_keys(store: BlobStore) -> set[str]:
    """Every key in the store."""
    return {key async for key in store.keys()}  # ruff: ignore[in-dict-keys]  a store is no dictionary


def read_repositories(tx: Transaction) -> dict[str, Found]:
    """What each repository holds."""
    names = {row.id: row.name for row in tx.execute(select(repositories.c.id, repositories.c.name))}
    contents: defaultdict[int, dict[str, Pushed]] = defaultdict(dict)
    numbers: dict[int, str] = {}
    for row in tx.execute(select(manifests.c.id, manifests.c.repository_id, manifests.c.digest, manifests.c.payload)):
        pushed = read_pushed(bytes(row.payload))
        assert pushed.digest == str(row.digest)
        contents[row.repository_id][pushed.digest] = pushed
        numbers[row.id] = pushed.digest
    standing: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for tag in tx.execute(select(tags.c.repository_id, tags.c.name, tags.c.manifest_id)):
        standing[tag.repository_id][tag.name] = numbers[tag.manifest_id]
    linked: defaultdict[int, set[str]] = defaultdict(set)
    joined: Any = select(repository_blobs.c.repository_id, blobs.c.digest).join(
        blobs, blobs.c.id == repository_blobs.c.blob_id
    )
    for link in tx.execute(joined):
        linked[link.repository_id].add(str(link.digest))
    return {name: Found(standing[number], contents[number], linked[number]) for number, name in names.items()}
