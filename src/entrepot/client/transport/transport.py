"""Sending a request until it is answered: login, redirects, patience."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import urljoin

from yarl import URL

from entrepot.client.credentials import CredentialSource
from entrepot.client.errors import ClientError, LyingRegistry, NetworkFailure, RateLimited
from entrepot.client.origins import Origin, Scheme, TLSSettings
from entrepot.client.transport.connections import Connections, Way
from entrepot.client.transport.doors import Doors, Knock
from entrepot.client.transport.failures import TRANSIENT
from entrepot.client.transport.patience import RETRIED_STATUSES, Patience, Pauses, retry_after_of
from entrepot.client.transport.rate import RateLimit
from entrepot.client.transport.refusals import refusal_of
from entrepot.client.transport.requests import Answer, Body, Request
from entrepot.client.transport.tokens import TOKEN_BYTES_AT_MOST

REDIRECTS_AT_MOST: Final = 10
_LOGINS_AT_MOST: Final = 2  # the first 401 asks for a token, the second for one that allows more
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_UNKNOWN_HOST_RETRIES: Final = 1  # a host that never answered may be a typing mistake: say so soon
_GRACE: Final = 0.05  # seconds added to what a registry asks for, so as not to come a moment too early
_EXPIRED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Transport:
    """What registries are asked through; one for a whole program, closed at its end."""

    def __init__(
        self, credentials: CredentialSource, patience: Patience | None = None, rate: RateLimit | None = None
    ) -> None:
        self.rate = rate or RateLimit()
        self.patience = patience or Patience()
        self.requests = 0
        """How many requests were sent so far, those to token services included."""
        self._connections = Connections(self.patience, self.rate)
        self._doors = Doors(credentials)
        self._pauses = Pauses()
        self._answered: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    @contextlib.asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Answer, None]:
        """Give an answer with a status that is expected; its body is read, or not, before this is left.

        Raises the client's errors for every other one, after trying again where that may help.
        """
        async with contextlib.AsyncExitStack() as stack:
            yield await self._persist(request, stack)

    async def _persist(self, request: Request, stack: contextlib.AsyncExitStack) -> Answer:
        """Ask until the answer is one that is expected; it stays open in ``stack``."""
        failures = 0
        waited = timedelta(0)
        while True:
            attempt = contextlib.AsyncExitStack()
            try:
                answer = await attempt.enter_async_context(self._once(request))
            except NetworkFailure as failure:
                failures += 1
                if failure.reason not in TRANSIENT or not self._may_try_again(request, failures):
                    raise
                await asyncio.sleep(self.patience.pause(failures))
                continue
            if answer.status in request.expected:
                stack.push_async_exit(attempt)
                return answer
            async with attempt:
                error = await refusal_of(answer, request.subject)
            failures += 1
            waited += await self._wait(request, answer, error, failures, waited)

    async def knock(self, request: Request) -> Knock:
        """How to ask the token service that an origin names; raises NetworkFailure."""
        return self._knock(request, await self._connections.base(request.origin, request.subject))

    def _knock(self, request: Request, base: URL) -> Knock:
        ask = partial(self._ask_service, request, base)
        return Knock(request.origin, base, request.scopes, request.subject, ask)

    def _may_try_again(self, request: Request, failures: int) -> bool:
        known = request.origin.authority in self._answered
        allowed = self.patience.retries if known else min(_UNKNOWN_HOST_RETRIES, self.patience.retries)
        return request.is_retried and failures <= allowed

    async def _wait(
        self, request: Request, answer: Answer, error: ClientError, failures: int, waited: timedelta
    ) -> timedelta:
        """Wait before the next attempt and say how long; raises ``error`` if there is to be none."""
        is_expired = answer.is_foreign and answer.status in _EXPIRED  # a signed URL; the next one is fresh
        if not request.is_retried or not (answer.status in RETRIED_STATUSES or is_expired):
            raise error
        asked = retry_after_of(answer.headers)
        if asked is not None:
            if waited + asked > self.patience.wait_at_most:
                raise error
            pause = asked.total_seconds() + _GRACE
        elif failures > self.patience.retries:
            raise error
        else:
            pause = self.patience.pause(failures)
        if asked is not None or isinstance(error, RateLimited):
            self._pauses.pause(request.origin.authority, pause)
        else:
            await asyncio.sleep(pause)
        return timedelta(seconds=pause)

    @contextlib.asynccontextmanager
    async def _once(self, request: Request) -> AsyncGenerator[Answer, None]:
        """Send it once, and again with the credentials that are asked for."""
        base = await self._connections.base(request.origin, request.subject)
        if request.is_anonymous:
            async with self._followed(request, base, None) as answer:
                yield answer
            return
        knock = self._knock(request, base)
        authorization = await self._doors.authorization(knock)
        for logins in range(_LOGINS_AT_MOST + 1):
            async with self._followed(request, base, authorization) as answer:
                self._answered.add(request.origin.authority)
                if answer.status != HTTPStatus.UNAUTHORIZED or answer.is_foreign:
                    yield answer
                    return
                challenges = answer.fields("WWW-Authenticate")
            if logins == _LOGINS_AT_MOST:
                raise self._doors.refused(knock, challenges)
            authorization = await self._doors.challenged(knock, challenges, authorization)

    @contextlib.asynccontextmanager
    async def _followed(self, request: Request, base: URL, authorization: str | None) -> AsyncGenerator[Answer, None]:
        """Send it and follow the redirects of reads; credentials and the origin's headers stay with the origin."""
        url = _absolute(request.origin, base, request.target)
        for _ in range(REDIRECTS_AT_MOST + 1):
            _check_scheme(url, base, request.subject)
            is_ours = _is_same(url, base)
            headers = _headers(request, authorization) if is_ours else _foreign_headers(request)
            way = self._way(request, url, base)
            await self._pauses.wait(request.origin.authority)
            self.requests += 1
            async with self._connections.send(
                way, request.method, url, headers, request.body, request.subject
            ) as response:
                answer = Answer(response, request.subject, self.rate, is_foreign=not is_ours)
                location = response.headers.get("Location")
                if location is None or not _is_followed(request, answer.status):
                    yield answer
                    return
            url = URL(urljoin(str(url), location), encoded=True)
        evidence = f"last to {url.authority}"
        raise LyingRegistry(request.subject, reason="redirects", cause="it redirects without end", evidence=[evidence])

    def _way(self, request: Request, url: URL, base: URL) -> Way:
        """How to connect: as the origin says; where it sends us the client's own certificate is not shown."""
        origin = request.origin
        if _is_same(url, base):
            return Way(origin.tls, origin.address, origin.proxy or None, is_outer=request.is_outer)
        is_public = request.is_outer or self._connections.is_public(origin)
        return Way(TLSSettings(authorities=origin.tls.authorities), None, origin.proxy or None, is_outer=is_public)

    async def _ask_service(
        self, request: Request, base: URL, method: str, url: URL, headers: dict[str, str], body: Body | None
    ) -> bytes:
        """What the token service of an origin answers; on another host it has no part in the origin's settings."""
        origin = request.origin
        is_outer = False
        if _is_same(url, base):
            service = replace(origin, scheme=Scheme(base.scheme), port=base.port or origin.port, path="")
        else:
            is_outer = url.host != base.host and self._connections.is_public(origin)
            tls = TLSSettings(authorities=origin.tls.authorities)
            if url.host == base.host:
                tls = origin.tls
            service = Origin(
                registry=origin.registry,
                scheme=Scheme(url.scheme),
                host=url.host or "",
                port=url.port or 0,
                tls=tls,
                address=origin.address if url.host == base.host else None,
                proxy=origin.proxy,
            )
        asked = Request(
            method=method,
            origin=service,
            target=str(url),
            subject=request.subject,
            headers=headers,
            body=body,
            is_anonymous=True,
            is_outer=is_outer,
        )
        async with self.send(asked) as answer:
            return await answer.read(TOKEN_BYTES_AT_MOST)


def _is_followed(request: Request, status: int) -> bool:
    return status in _REDIRECTS and request.method in {"GET", "HEAD"}


def _absolute(origin: Origin, base: URL, target: str) -> URL:
    """A target of an origin: a path beneath it, or a URL that it gave."""
    if target.startswith(("http://", "https://")):
        return URL(target, encoded=True)
    if origin.has_api_path:
        target = target.removeprefix("/v2")
    return URL(str(base).rstrip("/") + target, encoded=True)


def _is_same(url: URL, base: URL) -> bool:
    return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)


def _headers(request: Request, authorization: str | None) -> dict[str, str]:
    headers = dict(request.headers)
    headers |= {name: value.reveal() for name, value in request.origin.headers}
    if authorization is not None:
        headers["Authorization"] = authorization
    return headers


def _foreign_headers(request: Request) -> dict[str, str]:
    """What a server is told that the origin sends us to: nothing about who we are."""
    return {name: value for name, value in request.headers.items() if name.lower() != "authorization"}


def _check_scheme(url: URL, base: URL, subject: str) -> None:
    """Refuse to be sent from TLS to plain HTTP, to what is no HTTP, and to somebody's account."""
    allowed = {"https"} if base.scheme == "https" else {"https", "http"}
    if url.scheme in allowed and url.host and url.user is None:
        return
    evidence = f"sent to {url.scheme}://{url.host}"
    raise LyingRegistry(subject, reason="redirect", cause="it is no place to be sent to", evidence=[evidence])
