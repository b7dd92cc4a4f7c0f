"""The ASGI application of the server."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp

from entrepot.access import (
    METRICS,
    SKEW_AT_MOST,
    Action,
    AnonymousAccess,
    Authenticator,
    Authorizer,
    DatabaseProjects,
    DatabaseStandings,
    DatabaseThrottle,
    DatabaseUsers,
    IssueTokens,
    LiveCredentials,
    Passwords,
    Rules,
    StoredCredentials,
    TokenIssuer,
    TokenVerifier,
    Trail,
)
from entrepot.compose.administration import administration_of, repositories_of
from entrepot.compose.gauges import gauges_of
from entrepot.compose.logins import logins_of
from entrepot.compose.ports import OpenPorts, keyring_of, open_ports
from entrepot.compose.uses import uses_of
from entrepot.compose.worker import job_kinds
from entrepot.http.addresses import Addresses
from entrepot.http.cursors import Cursors
from entrepot.http.distribution import Context, Distribution, ListLimits
from entrepot.http.door import Door
from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.listeners import by_listener
from entrepot.http.login import Login
from entrepot.http.loop_watch import watch_loop
from entrepot.http.management import Management, ManagementAPI
from entrepot.http.metrics import Metrics
from entrepot.http.ops import ops_app
from entrepot.http.proxies import TrustedProxies
from entrepot.http.redirect import RedirectToTLS
from entrepot.http.site import Site
from entrepot.http.tokens import GetToken, KeySetPage, PostToken, TokenEndpoint
from entrepot.metadata import (
    Database,
)
from entrepot.settings import Settings
from entrepot.storage import BlobStore

PUBLIC = "public"
OPERATIONS = "operations"
REDIRECT = "redirect"
"""Names of the listeners."""


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


@dataclass(frozen=True, slots=True)
class AppFactory:
    """Makes the ASGI application inside a worker process; itself only values, so that it can be sent there."""

    settings: Settings
    open_ports: OpenPorts = open_ports

    def __call__(self) -> ASGIApp:
        """The application of all listeners; everything is opened in its lifespan."""
        apps: dict[str, ASGIApp] = {}

        @asynccontextmanager
        async def lifespan() -> AsyncGenerator[Metrics]:
            async with AsyncExitStack() as stack:
                database, store = self.open_ports(self.settings, stack)
                metrics = Metrics()
                apps.update(await _build(self.settings, database, store, metrics, stack))
                yield metrics

        return by_listener(apps, lifespan)


async def _build(
    settings: Settings, database: Database, store: BlobStore, metrics: Metrics, stack: AsyncExitStack
) -> dict[str, ASGIApp]:
    """Build the application of each listener on an open database and store; ``stack`` closes what it opens itself."""
    passwords = Passwords()
    stack.callback(passwords.close)

    keys = await keyring_of(settings, database).open()
    reading = asyncio.create_task(keys.keep_reading(), name="read-signing-keys")
    stack.push_async_callback(_cancelled, reading)
    users = DatabaseUsers(database)
    lifetime = settings.tokens.lifetime
    issuer = TokenIssuer(keys, issuer=settings.service, service=settings.service, lifetime=lifetime)
    verifier = TokenVerifier(keys, issuer=settings.service, service=settings.service, skew=min(lifetime, SKEW_AT_MOST))
    credentials = StoredCredentials(database)
    logins = logins_of(settings, database, keys, credentials, stack)
    authenticator = Authenticator(users, passwords, verifier, credentials, logins.external, DatabaseThrottle(database))
    anonymous = AnonymousAccess(settings.anonymous.value)
    authorizer = Authorizer(DatabaseStandings(database), DatabaseProjects(database), anonymous)
    trail = Trail(database)
    stack.push_async_callback(trail.close)
    trailing = asyncio.create_task(trail.keep_writing(), name="write-trail")
    stack.push_async_callback(_cancelled, trailing)
    addresses = Addresses(settings.public_url, settings.path_prefix, settings.service)
    issue = IssueTokens(authorizer, issuer, credentials, settings.tokens.refresh_lifetime)
    door = Door(authenticator, authorizer, addresses, LiveCredentials(database), credentials, trail)
    uses = uses_of(settings, database, store)
    stack.push_async_callback(uses.count_pulls.write)
    counting = asyncio.create_task(uses.count_pulls.keep_writing(), name="count-pulls")
    stack.push_async_callback(_cancelled, counting)

    async def may_read_metrics(request: Request) -> None:
        await door.admit(request, Action.METRICS, METRICS, await database.hot.access_version())

    watching = asyncio.create_task(watch_loop(metrics), name="watch-loop")
    stack.push_async_callback(_cancelled, watching)
    checks = {"database": database.ping, "storage": store.probe}
    gauges = gauges_of(database, [kind.name for kind in job_kinds(settings, database, store)])
    limits = limits_of(settings)
    lists = ListLimits(settings.lists.page, settings.lists.page_at_most)
    cursors = Cursors(keys)
    site = Site(
        Distribution(Context(uses, door, addresses, lists, cursors, settings.manifests.bytes_at_most)),
        TokenEndpoint(
            GetToken(authenticator, credentials, issue, settings.service, trail),
            PostToken(authenticator, credentials, logins.external, logins.devices, issue, settings.service, trail),
        ),
        KeySetPage(keys),
        Login(logins.codes, logins.devices, addresses),
        ManagementAPI(
            Management(
                administration_of(database, passwords, authorizer),
                repositories_of(settings, database),
                authenticator,
                credentials,
                addresses,
                Cursors(keys, "management list"),
                keys,
                Rules(anonymous),
                trail,
            )
        ),
        ops_app(checks=checks, metrics=metrics, gauges=gauges, authorize=may_read_metrics),
        settings.path_prefix,
    )
    proxies = TrustedProxies(settings.trusted_proxies)
    redirect = RedirectToTLS(settings.public_url, settings.listen.port)
    return {
        PUBLIC: front(site, limits=limits, metrics=metrics, proxies=proxies, hsts=settings.tls.hsts, trail=trail),
        REDIRECT: front(redirect, limits=limits, metrics=metrics, proxies=proxies),
        OPERATIONS: front(
            ops_app(checks=checks, metrics=metrics, gauges=gauges), limits=limits, metrics=metrics, proxies=proxies
        ),
    }


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task of the lifespan and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
