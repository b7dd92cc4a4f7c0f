"""Connections to origins, and to where origins send us: TLS, addresses, proxies, time-outs."""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from entrepot.client.addresses import is_inner
from entrepot.client.errors import ConfigurationInvalid, LyingRegistry, NetworkFailure, TLSFailure
from entrepot.client.origins import Origin, Scheme, TLSSettings
from entrepot.client.sources import Sourced
from entrepot.client.transport.addresses import FixedResolver, OuterResolver, SystemResolver
from entrepot.client.transport.certificates import certificate_facts
from entrepot.client.transport.failures import failures_of, is_plain_http
from entrepot.client.transport.patience import Patience
from entrepot.client.transport.rate import RateLimit
from entrepot.client.transport.requests import Body

CONNECTIONS_PER_HOST: Final = 144
"""More than 64 uploads need that read from the same host, or each could wait for what the others hold."""
_TLS_PORT: Final = 443
_PLAIN_PORT: Final = 80
_READ_BUFFER: Final = 256 * 1024  # bytes; a blob comes in fewer, larger pieces
_HEADER_BYTES_AT_MOST: Final = 16 * 1024  # of one field; signed URLs are long


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is connected to."""

    tls: TLSSettings
    address: str | None = None
    proxy: str | None = None
    is_outer: bool = False
    """Whether only addresses of the public internet will do."""


class Connections:
    """Pools of HTTP/1.1 connections, one for each way."""

    def __init__(self, patience: Patience, rate: RateLimit) -> None:
        self._rate = rate
        self._patience = patience
        self._sessions: dict[Way, aiohttp.ClientSession] = {}
        self._schemes: dict[Origin, str] = {}
        self._public: set[str] = set()
        self._locks: dict[Origin, asyncio.Lock] = {}

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def base(self, origin: Origin, subject: str) -> URL:
        """Where the origin is, with the scheme that it speaks; raises NetworkFailure, TLSFailure."""
        if origin.scheme is not Scheme.EITHER:
            return _url(origin, origin.scheme.value)
        async with self._locks.setdefault(origin, asyncio.Lock()):
            if origin not in self._schemes:
                self._schemes[origin] = await self._spoken(origin, subject)
        return _url(origin, self._schemes[origin])

    async def _spoken(self, origin: Origin, subject: str) -> str:
        """TLS if it is spoken, also with a certificate that does not hold; else plain HTTP."""
        try:
            way = Way(origin.tls, origin.address, origin.proxy or None)
            async with self.send(way, "GET", _url(origin, "https") / "v2/", {}, None, subject):
                return "https"
        except TLSFailure as error:
            if is_plain_http(error):
                return "http"
            raise
        except NetworkFailure as error:
            if error.reason == "name" or (error.reason == "refused" and origin.port != _TLS_PORT):
                raise
            return "http"

    @contextlib.asynccontextmanager
    async def send(
        self, way: Way, method: str, url: URL, headers: Mapping[str, str], body: Body | None, subject: str
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """Send one request and give its answer before its body is read; redirects are not followed.

        Raises NetworkFailure, TLSFailure, LyingRegistry for an address that is not allowed.
        """
        _check_literal(way, url, subject)
        try:
            with failures_of(subject, url.authority):
                response = await self._answered(self._session(way), way, method, url, headers, body)
        except TLSFailure as failure:
            if failure.reason == "certificate" and way.proxy is None and not way.is_outer:
                host = url.host or ""
                failure.evidence += tuple(await certificate_facts(way.address or host, url.port or 0, host))
            raise
        try:
            yield response
        finally:
            # What was read to its end goes back to the pool by itself; the rest is not waited for.
            response.close()

    async def _answered(
        self,
        session: aiohttp.ClientSession,
        way: Way,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: Body | None,
    ) -> aiohttp.ClientResponse:
        sent = dict(headers)
        watch = Watch(self._patience.idle)
        data = None
        sourced: Sourced | None = None
        timeout = self._timeout(self._patience.idle)
        if body is not None:
            sent["Content-Type"] = body.media_type
            sent["Content-Length"] = str(body.size)
            sourced = Sourced(body.chunks()) if body.size else None
            data = watch.over(self._rate.over(sourced.chunks()), self._patience.answer) if sourced else None
            timeout = self._timeout(self._patience.answer)
        async with watch:
            with sourced.blamed() if sourced else contextlib.nullcontext():
                return await session.request(
                    method,
                    url,
                    headers=sent,
                    data=data,
                    ssl=_trust(way, url),
                    proxy=way.proxy,
                    allow_redirects=False,
                    timeout=timeout,
                )

    def is_public(self, origin: Origin) -> bool:
        """Whether an origin that was asked already has an address of the public internet, or is behind a proxy."""
        if origin.proxy:
            return True
        address = origin.address or origin.host
        return address in self._public or (_is_address(address) and not is_inner(address))

    def _resolver(self, way: Way) -> AbstractResolver:
        if way.address is not None:
            return FixedResolver(way.address)
        # Behind a proxy the only name that is resolved here is the proxy's.
        return OuterResolver() if way.is_outer and way.proxy is None else SystemResolver(self._public)

    def _timeout(self, read: timedelta) -> aiohttp.ClientTimeout:
        """No limit but for connecting and for standing still."""
        connect = self._patience.connect.total_seconds()
        return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read.total_seconds())

    def _session(self, way: Way) -> aiohttp.ClientSession:
        found = self._sessions.get(way)
        if found is None:
            found = self._sessions[way] = self._opened(way)
        return found

    def _opened(self, way: Way) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=CONNECTIONS_PER_HOST,
            resolver=self._resolver(way),
            happy_eyeballs_delay=0.25,
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": f"entrepot/{_version()}", "Accept-Encoding": "identity"},
            skip_auto_headers=("Content-Type", "Accept-Encoding"),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            read_bufsize=_READ_BUFFER,
            max_line_size=_HEADER_BYTES_AT_MOST,
            max_field_size=_HEADER_BYTES_AT_MOST,
            requote_redirect_url=False,
        )


class Watch:
    """A time-out that begins anew with each piece of a body that is taken."""

    def __init__(self, idle: timedelta) -> None:
        self._idle = idle.total_seconds()
        self._timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(self._idle)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        timeout, self._timeout = self._timeout, None
        assert timeout is not None
        await timeout.__aexit__(*raised)  # type: ignore[arg-type]  # exactly what was handed in

    def moved(self, patience: timedelta | None = None) -> None:
        """Begin anew, with another time if one is given."""
        if self._timeout is not None and not self._timeout.expired():
            seconds = self._idle if patience is None else patience.total_seconds()
            self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)

    async def over(self, chunks: AsyncIterator[bytes], at_end: timedelta) -> AsyncIterator[bytes]:
        """Pass chunks on; after the last one ``at_end`` is left for the answer."""
        async for chunk in chunks:
            self.moved()
            yield chunk
        self.moved(at_end)


def _url(origin: Origin, scheme: str) -> URL:
    # Without a port in its name, plain HTTP is at another one than TLS.
    is_plain = scheme == "http" and origin.scheme is Scheme.EITHER and origin.port == _TLS_PORT
    spoken = replace(origin, port=_PLAIN_PORT) if is_plain else origin
    return URL(f"{scheme}://{spoken.authority}{origin.path}", encoded=True)


def _check_literal(way: Way, url: URL, subject: str) -> None:
    """Refuse addresses that are written in a URL; names are looked at when they are resolved."""
    if way.is_outer and url.host is not None and is_inner(url.host):
        evidence = f"sent to {url.scheme}://{url.authority}"
        raise LyingRegistry(
            subject, reason="inner-address", cause="a public registry names an address inside", evidence=[evidence]
        )


def _trust(way: Way, url: URL) -> ssl.SSLContext | bool:
    """Whom to trust on this way; reading the system's authorities takes long, so only for TLS."""
    is_tls = url.scheme == "https" or (way.proxy is not None and way.proxy.startswith("https:"))
    return _context(way.tls) if is_tls else True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache
def _version() -> str:
    return version("entrepot")


@lru_cache(maxsize=64)
def _context(tls: TLSSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer with the system's authorities and those given; raises ConfigurationInvalid."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for authority in tls.authorities:
        with _readable(authority):
            context.load_verify_locations(cafile=authority)
    if tls.certificate is not None:
        with _readable(tls.certificate):
            context.load_cert_chain(tls.certificate, tls.key, password=_no_password(tls.key or tls.certificate))
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _readable(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except (OSError, ssl.SSLError) as error:
        cause = "it is no certificate or key in PEM, or they do not belong together"
        evidence = error.strerror or str(error)
        raise ConfigurationInvalid(str(path), reason="pem", cause=cause, evidence=[evidence]) from error


def _no_password(path: Path) -> Callable[[], str]:
    """Refuse a key with a password instead of asking for it at a terminal."""

    def refuse() -> str:
        raise ConfigurationInvalid(str(path), reason="encrypted-key", cause="the key has a password")

    return refuse
