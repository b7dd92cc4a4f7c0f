"""Builds the concrete registry out of its parts: the one place that knows all of them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from starlette.requests import Request
from starlette.types import ASGIApp

from entrepot.access import (
    METRICS,
    Action,
    AnonymousAccess,
    Authenticator,
    Authorizer,
    DatabaseUsers,
    Passwords,
    TokenIssuer,
    TokenVerifier,
    ensure_admin,
    load_signing_keys,
)
from entrepot.http import logs as logging_setup
from entrepot.http.addresses import Addresses
from entrepot.http.distribution import Context, Cursors, Distribution, ListLimits
from entrepot.http.door import Door
from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.listeners import by_listener
from entrepot.http.logs import Logs
from entrepot.http.metrics import Metrics
from entrepot.http.ops import Gauge, ops_app
from entrepot.http.proxies import TrustedProxies
from entrepot.http.site import Site
from entrepot.http.tokens import GetToken
from entrepot.http.workers import Report, stop_with_parent
from entrepot.jobs import JobKind, ScheduleInvalid, Worker, collect_kind, next_run, sweep_kind, trim_kind
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
    ReadCollectionStatus,
    ReviewBatch,
    SweepStore,
)
from entrepot.metadata import (
    Database,
    DatabaseUnsuitable,
    JobState,
    count_jobs,
    count_uploads,
    has_blob_objects,
    open_database,
    upgrade,
)
from entrepot.oci import StorageFull, Unavailable
from entrepot.registry import (
    CancelUpload,
    CountPulls,
    DeleteBlob,
    DeleteManifest,
    DeleteTag,
    FinishUpload,
    ListReferrers,
    ListRepositories,
    ListTags,
    ManifestCache,
    MountBlob,
    PullBlob,
    PullManifest,
    PushManifest,
    StartUpload,
    UploadLimits,
    UploadStatus,
    Uses,
    WriteUpload,
)
from entrepot.settings import MissingBlobs, Settings, Untagged
from entrepot.storage import MARKER, BlobStore, FilesystemBlobStore, mark

PUBLIC = "public"
OPERATIONS = "operations"
"""Names of the listeners."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What ``prepare`` found; the file with the first admin's password, if it still lies there."""

    admin_password_file: Path | None


def prepare(settings: Settings) -> Prepared:
    """Make the store's directory, bring the database to this program's schema, see to the first admin.

    To be called once, before any worker starts. Raises DatabaseUnsuitable, FirstPasswordMissing,
    PasswordFileUnusable, Unavailable, SealInvalid, ScheduleInvalid, StoreEmpty.
    """
    _check_schedules(settings)
    _make_store_directory(settings)
    upgrade(settings.database.reveal())
    return asyncio.run(_prepare(settings))


def _check_schedules(settings: Settings) -> None:
    schedules = {"gc.schedule": settings.gc.schedule, "gc.sweep_schedule": settings.gc.sweep_schedule}
    for key, schedule in schedules.items():
        try:
            next_run(schedule, None, datetime.now(UTC))
        except ScheduleInvalid as error:
            raise ScheduleInvalid(f"{key}: {error}") from error


async def _prepare(settings: Settings) -> Prepared:
    passwords = Passwords()
    database = open_database(settings.database.reveal())
    try:
        mark(_store_directory(settings), objects_on_record=await database.read(has_blob_objects))
        made_at = None if settings.database.sqlite_file is None else settings.data / "admin-password"
        found = await ensure_admin(database, passwords, settings.admin.password_file, made_at)
        await load_signing_keys(database, _key_file(settings))
    finally:
        await database.close()
        passwords.close()
    return Prepared(found)


def limits_of(settings: Settings) -> Limits:
    """What one connection, request or reader may cost."""
    http = settings.http
    return Limits(
        header_bytes=http.header_bytes,
        header_time=http.header_timeout,
        idle_time=http.idle_timeout,
        minimum_rate=http.minimum_rate,
        rate_window=http.rate_window,
        connections=http.connections_at_most,
        graceful_time=http.graceful_stop,
    )


def uses_of(settings: Settings, database: Database, store: BlobStore) -> Uses:
    """The uses over one database and one store."""
    given = settings.uploads
    limits = UploadLimits(
        session_lifetime=given.session_lifetime,
        sessions_at_most=given.sessions_at_most_per_principal,
        retry_window=given.retry_window,
        lease=given.lease,
        checkpoint_bytes=given.checkpoint_bytes,
        checkpoint_interval=given.checkpoint_interval,
        blob_bytes_at_most=given.blob_bytes_at_most,
    )
    write_upload = WriteUpload(database, store, limits)
    return Uses(
        hot=database.hot,
        pull_manifest=PullManifest(database, ManifestCache(settings.manifests.cache_bytes), limits.lease),
        pull_blob=PullBlob(database, store, limits.lease),
        count_pulls=CountPulls(database),
        start_upload=StartUpload(database, limits),
        write_upload=write_upload,
        finish_upload=FinishUpload(database, store, limits, write_upload),
        upload_status=UploadStatus(database),
        cancel_upload=CancelUpload(database, store),
        mount_blob=MountBlob(database, limits),
        push_manifest=PushManifest(
            database, limits.lease, accept_missing_blobs=settings.manifests.missing_blobs is MissingBlobs.ACCEPT
        ),
        delete_tag=DeleteTag(database, limits.lease),
        delete_manifest=DeleteManifest(database, limits.lease),
        delete_blob=DeleteBlob(database),
        list_tags=ListTags(database),
        list_repositories=ListRepositories(database),
        list_referrers=ListReferrers(database),
    )


def job_kinds(settings: Settings, database: Database, store: BlobStore) -> list[JobKind]:
    """Every kind of job there is."""
    collection = collection_of(settings, database, store)
    return [
        trim_kind(database, settings.jobs.history),
        collect_kind(collection.collect_garbage, settings.gc.schedule),
        sweep_kind(collection.sweep_store, settings.gc.sweep_schedule),
    ]


@asynccontextmanager
async def queue_of(settings: Settings) -> AsyncGenerator[tuple[Database, dict[str, JobKind]]]:
    """The database with its queue, and the kinds of jobs by name; raises DatabaseUnsuitable, Unavailable."""
    async with AsyncExitStack() as stack:
        database, store = open_ports(settings, stack)
        yield database, {kind.name: kind for kind in job_kinds(settings, database, store)}


def run_worker(settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
    """Run what is queued until SIGTERM or SIGINT, then hand back what is in progress; ``ready`` says that it begins.

    Raises DatabaseUnsuitable, Unavailable before that.
    """
    asyncio.run(_run_worker(settings, ready))


async def _run_worker(settings: Settings, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        database, store = open_ports(settings, stack)
        given = settings.jobs
        worker = Worker(
            database,
            job_kinds(settings, database, store),
            poll_interval=given.poll_interval,
            concurrency=given.concurrency,
            lease=given.lease,
        )
        ready()
        await worker.run(stop)


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """The life of a process that runs jobs beside a server; itself only values, so that it can be sent there."""

    settings: Settings
    logs: Logs

    def __call__(self, report: Report) -> None:
        """Run jobs until a signal, or until the server is gone."""
        stop_with_parent()
        logging_setup.configure(self.logs)
        try:
            run_worker(self.settings, report.ready)
        except (DatabaseUnsuitable, StorageFull, Unavailable) as error:
            report.failed(str(error))


@dataclass(frozen=True, slots=True)
class Collection:
    """What looks after content over time, over one database and one store."""

    collect_garbage: CollectGarbage
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
    )


def collection_of(settings: Settings, database: Database, store: BlobStore) -> Collection:
    """The collection's uses. On SQLite the host's clock is held against one that only runs forward."""
    policy = policy_of(settings)
    clock: Clock = DatabaseClock() if settings.database.sqlite_file is None else HostClock(policy.longest)
    review = ReviewBatch(database, policy, clock)
    return Collection(
        CollectGarbage(database, review, ExpireUploads(database, clock), DeleteObjects(database, store, clock)),
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


def open_ports(settings: Settings, stack: AsyncExitStack) -> tuple[Database, BlobStore]:
    """Open the database and the store of these settings for as long as ``stack`` lives."""
    database = open_database(settings.database.reveal())
    stack.push_async_callback(database.close)
    store = FilesystemBlobStore(_store_directory(settings), reserve=settings.storage.reserve, marker=MARKER)
    stack.push_async_callback(store.close)
    return database, store


OpenPorts: TypeAlias = Callable[[Settings, AsyncExitStack], tuple[Database, BlobStore]]
"""How the application comes to its database and store, in the worker process that uses them."""


@dataclass(frozen=True, slots=True)
class AppFactory:
    """Makes the ASGI application inside a worker process; itself only values, so that it can be sent there."""

    settings: Settings
    open_ports: OpenPorts = open_ports

    def __call__(self) -> ASGIApp:
        """The application of all listeners; everything is opened in its lifespan."""
        apps: dict[str, ASGIApp] = {}

        @asynccontextmanager
        async def lifespan() -> AsyncGenerator[None]:
            async with AsyncExitStack() as stack:
                database, store = self.open_ports(self.settings, stack)
                apps.update(await _build(self.settings, database, store, stack))
                yield

        return by_listener(apps, lifespan)


async def _build(settings: Settings, database: Database, store: BlobStore, stack: AsyncExitStack) -> dict[str, ASGIApp]:
    """Build the application of each listener on an open database and store; ``stack`` closes what it opens itself."""
    passwords = Passwords()
    stack.callback(passwords.close)

    keys = await load_signing_keys(database, _key_file(settings))
    users = DatabaseUsers(database)
    issuer = TokenIssuer(keys[0], issuer=settings.service, service=settings.service, lifetime=settings.tokens.lifetime)
    verifier = TokenVerifier(keys, issuer=settings.service, service=settings.service)
    authenticator = Authenticator(users, passwords, verifier)
    authorizer = Authorizer(users, AnonymousAccess(settings.anonymous.value))
    addresses = Addresses(settings.public_url, settings.path_prefix, settings.service)
    door = Door(authenticator, authorizer, addresses)
    uses = uses_of(settings, database, store)
    stack.push_async_callback(uses.count_pulls.write)
    counting = asyncio.create_task(uses.count_pulls.keep_writing(), name="count-pulls")
    stack.push_async_callback(_cancelled, counting)

    async def may_read_metrics(request: Request) -> None:
        await door.admit(request, Action.METRICS, METRICS, await database.hot.access_version())

    metrics = Metrics()
    checks = {"database": database.ping, "storage": store.probe}
    gauges = _gauges(database, [kind.name for kind in job_kinds(settings, database, store)])
    limits = limits_of(settings)
    lists = ListLimits(settings.lists.page, settings.lists.page_at_most)
    cursors = Cursors(keys[0].to_jwk().reveal().encode())
    site = Site(
        Distribution(Context(uses, door, addresses, lists, cursors, settings.manifests.bytes_at_most)),
        GetToken(authenticator, authorizer, issuer, settings.service),
        ops_app(checks=checks, metrics=metrics, gauges=gauges, authorize=may_read_metrics),
        settings.path_prefix,
    )
    proxies = TrustedProxies(settings.trusted_proxies)
    return {
        PUBLIC: front(site, limits=limits, metrics=metrics, proxies=proxies),
        OPERATIONS: front(
            ops_app(checks=checks, metrics=metrics, gauges=gauges), limits=limits, metrics=metrics, proxies=proxies
        ),
    }


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task of the lifespan and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _gauges(database: Database, kinds: Sequence[str]) -> list[Gauge]:
    """What is counted in the database when somebody asks."""

    async def open_uploads() -> float:
        return await database.read(count_uploads)

    async def jobs() -> dict[tuple[str, ...], float]:
        shown = (JobState.QUEUED, JobState.RUNNING, JobState.FAILED)
        found = await database.read(count_jobs)
        counted = {(kind, state): 0 for kind in kinds for state in shown} | found
        return {(kind, state): number for (kind, state), number in counted.items() if state in shown}

    return [
        *_collection_gauges(ReadCollectionStatus(database)),
        Gauge("entrepot_open_uploads", "Upload sessions that are open.", open_uploads),
        Gauge("entrepot_jobs", "Jobs that are queued, running, or failed lately.", jobs, ("kind", "state")),
    ]


def _collection_gauges(status: ReadCollectionStatus) -> list[Gauge]:
    """How the collection stands."""

    async def rows() -> dict[tuple[str, ...], float]:
        found = await status()
        return {
            (queue.value, state): number
            for queue, totals in found.queues.items()
            for state, number in (("waiting", totals.waiting), ("parked", totals.parked), ("failing", totals.failing))
        }

    async def oldest() -> dict[tuple[str, ...], float]:
        found = await status()
        return {
            (queue.value,): 0.0 if totals.oldest is None else max(0.0, (found.at - totals.oldest).total_seconds())
            for queue, totals in found.queues.items()
        }

    async def dead() -> dict[tuple[str, ...], float]:
        found = await status()
        return {("waiting",): found.dead_objects, ("refused",): found.refused_objects}

    async def reclaimed() -> float:
        return (await status()).reclaimed_bytes

    return [
        Gauge("entrepot_gc_reviews", "Rows in the queues of the collection.", rows, ("queue", "state")),
        Gauge("entrepot_gc_oldest_seconds", "How long the first row of a queue has waited.", oldest, ("queue",)),
        Gauge("entrepot_gc_dead_objects", "Objects whose bytes are to be deleted.", dead, ("state",)),
        Gauge("entrepot_gc_reclaimed_bytes", "Bytes that the collection has freed.", reclaimed),
    ]


def _make_store_directory(settings: Settings) -> None:
    """Make the directory, its entry durable before any object in it counts."""
    _store_directory(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = os.open(settings.data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _store_directory(settings: Settings) -> Path:
    return settings.data / "store"


def _key_file(settings: Settings) -> bytes | None:
    path = settings.tokens.key_file
    return None if path is None else path.read_bytes()
