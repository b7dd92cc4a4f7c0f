"""Builds the concrete registry out of its parts: the one place that knows all of them."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

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
from entrepot.http.addresses import Addresses
from entrepot.http.distribution import Context, Cursors, Distribution, ListLimits
from entrepot.http.door import Door
from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.listeners import by_listener
from entrepot.http.metrics import Metrics
from entrepot.http.ops import Gauge, ops_app
from entrepot.http.proxies import TrustedProxies
from entrepot.http.site import Site
from entrepot.http.tokens import GetToken
from entrepot.metadata import Database, count_uploads, has_blob_objects, open_database, upgrade
from entrepot.registry import (
    CancelUpload,
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
from entrepot.settings import MissingBlobs, Settings
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
    PasswordFileUnusable, Unavailable, SealInvalid, StoreEmpty.
    """
    _make_store_directory(settings)
    upgrade(settings.database.reveal())
    return asyncio.run(_prepare(settings))


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
        start_upload=StartUpload(database, limits),
        write_upload=write_upload,
        finish_upload=FinishUpload(database, store, limits, write_upload),
        upload_status=UploadStatus(database),
        cancel_upload=CancelUpload(database, store),
        mount_blob=MountBlob(database, limits),
        push_manifest=PushManifest(
            database, limits.lease, accept_missing_blobs=settings.manifests.missing_blobs is MissingBlobs.ACCEPT
        ),
        delete_tag=DeleteTag(database),
        delete_manifest=DeleteManifest(database, limits.lease),
        delete_blob=DeleteBlob(database),
        list_tags=ListTags(database),
        list_repositories=ListRepositories(database),
        list_referrers=ListReferrers(database),
    )


@dataclass(frozen=True, slots=True)
class AppFactory:
    """Makes the ASGI application inside a worker process; itself only values, so that it can be sent there."""

    settings: Settings

    def __call__(self) -> ASGIApp:
        """The application of all listeners; everything is opened in its lifespan."""
        apps: dict[str, ASGIApp] = {}

        @asynccontextmanager
        async def lifespan() -> AsyncGenerator[None]:
            async with AsyncExitStack() as stack:
                apps.update(await _open(self.settings, stack))
                yield

        return by_listener(apps, lifespan)


async def _open(settings: Settings, stack: AsyncExitStack) -> dict[str, ASGIApp]:
    """Open database and store for as long as ``stack`` lives, and build the application of each listener."""
    database = open_database(settings.database.reveal())
    stack.push_async_callback(database.close)
    store = FilesystemBlobStore(_store_directory(settings), reserve=settings.storage.reserve, marker=MARKER)
    stack.push_async_callback(store.close)
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

    async def may_read_metrics(request: Request) -> None:
        await door.admit(request, Action.METRICS, METRICS, await database.hot.access_version())

    async def open_uploads() -> float:
        return await database.read(count_uploads)

    metrics = Metrics()
    checks = {"database": database.ping, "storage": store.probe}
    gauges = [Gauge("entrepot_open_uploads", "Upload sessions that are open.", open_uploads)]
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
