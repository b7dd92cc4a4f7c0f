"""The collection over one database and one store."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from entrepot.compose.ports import open_ports
from entrepot.lifecycle import (
    Clock,
    CollectGarbage,
    DatabaseClock,
    DeleteObjects,
    DeleteRepository,
    ExpireUploads,
    HostClock,
    PlanCollection,
    Policy,
    QueueUnqueued,
    ReadCollectionStatus,
    ReviewBatch,
    SweepStore,
    TrimPulls,
)
from entrepot.metadata import (
    Database,
)
from entrepot.settings import Settings, Untagged
from entrepot.storage import BlobStore


@dataclass(frozen=True, slots=True)
class Collection:
    """What looks after content over time, over one database and one store."""

    collect_garbage: CollectGarbage
    queue_unqueued: QueueUnqueued
    trim_pulls: TrimPulls
    sweep_store: SweepStore
    plan: PlanCollection
    status: ReadCollectionStatus
    delete_repository: DeleteRepository


def policy_of(settings: Settings) -> Policy:
    """For how long the collection leaves things alone."""
    given = settings.gc
    return Policy(
        review_after=given.review_after,
        delete_after=given.delete_after,
        lease=settings.uploads.lease,
        keep_untagged=given.untagged is Untagged.KEEP,
        untagged_after=given.untagged_after,
        pulled_within=given.pulled_within,
        unknown_after=given.unknown_after,
        session_lifetime=max(settings.uploads.session_lifetime, settings.uploads.retry_window),
    )


def collection_of(settings: Settings, database: Database, store: BlobStore) -> Collection:
    """The collection's uses. On SQLite the host's clock is held against one that only runs forward."""
    policy = policy_of(settings)
    clock: Clock = DatabaseClock() if settings.database.sqlite_file is None else HostClock(policy.longest)
    review = ReviewBatch(database, policy, clock)
    return Collection(
        CollectGarbage(database, review, ExpireUploads(database, clock), DeleteObjects(database, store, clock)),
        QueueUnqueued(database),
        TrimPulls(database, policy.pulled_within),
        SweepStore(database, store, policy),
        PlanCollection(database, policy),
        ReadCollectionStatus(database),
        DeleteRepository(database),
    )


@asynccontextmanager
async def opened_collection(settings: Settings) -> AsyncGenerator[Collection]:
    """The collection over the database and store of these settings, also beside a running server."""
    async with AsyncExitStack() as stack:
        database, store = open_ports(settings, stack)
        yield collection_of(settings, database, store)
