"""Addresses to listen on, and which application answers at which."""

import errno
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.http.errors import PathUnknown, answer_of
from entrepot.http.listen_errors import ListenError
from entrepot.http.metrics import Metrics
from entrepot.http.tls import TLS

KEY: Final = "entrepot.listener"
"""Where a scope holds the name of the listener that the connection came in by."""

METRICS_KEY: Final = "entrepot.metrics"
"""Where the state of the lifespan holds the Metrics that the server itself counts in."""

BACKLOG: Final = 2048

_PORTS_TRIED: Final = 100
_PORT_AT_MOST: Final = 65535


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to listen on: a host or IP address (empty for all IPv4 ones) and a port (0 for a free one)."""

    name: str
    host: str
    port: int
    tls: TLS | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener is reached in fact."""

    listener: str
    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        """The address as clients write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def listening_socket(listener: Listener) -> socket.socket:
    """A socket that listens at the address; raises ListenError."""
    host, port = listener.host, listener.port
    if not 0 <= port <= _PORT_AT_MOST:
        raise ListenError(f"{port} is no port: 0 to {_PORT_AT_MOST}", listener=listener.name)
    try:
        family, address = _resolved(host)
    except socket.gaierror as error:
        raise ListenError(f"cannot find the address of {host}: {error.strerror}", listener=listener.name) from error
    try:
        return _listen(family, address, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = _next_free_port(family, address, port)
            hint = f"; {free} is free" if free else ""
            raise ListenError(
                f"port {port} of {host or '*'} is in use{hint}", listener=listener.name, free_port=free
            ) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ListenError(f"cannot listen on port {port} of {host or '*'}: {reason}", listener=listener.name) from error


def address_of(listener: Listener, sock: socket.socket) -> Address:
    """Where the socket of a listener is reached."""
    host, port = sock.getsockname()[:2]
    return Address(listener.name, host, port, listener.tls is not None)


def _resolved(host: str) -> tuple[socket.AddressFamily, str]:
    """The first address of a host, IPv4 before IPv6: ``localhost`` is where every client tries first."""
    if not host:
        return socket.AF_INET, "0.0.0.0"  # ruff: ignore[hardcoded-bind-all-interfaces]  asked for by leaving the host out
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, address = found[0]
    return family, str(address[0])


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _next_free_port(family: socket.AddressFamily, address: str, port: int) -> int | None:
    for candidate in range(port + 1, min(port + _PORTS_TRIED, _PORT_AT_MOST) + 1):
        with suppress(OSError):
            _listen(family, address, candidate).close()
            return candidate
    return None


Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[Metrics | None]]
"""What an application lives in; it may hand out the Metrics for the server's own numbers."""


def by_listener(apps: Mapping[str, ASGIApp], lifespan: Lifespan) -> ASGIApp:
    """One ASGI application out of one per listener name.

    ``lifespan`` is entered when the server starts and left after its last request; an exception out of its start keeps
    the server from starting, and its text is what the operator reads.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(lifespan, scope, receive, send)
            return
        app = apps.get(scope.get(KEY, ""), answer_of(PathUnknown()))
        await app(scope, receive, send)

    return application


async def _live(lifespan: Lifespan, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    started = False
    try:
        async with lifespan() as metrics:
            started = True
            scope.get("state", {})[METRICS_KEY] = metrics
            await send({"type": "lifespan.startup.complete"})
            await receive()
    except Exception as error:
        event = "lifespan.shutdown.failed" if started else "lifespan.startup.failed"
        await send({"type": event, "message": str(error), "error": error})
        raise
    await send({"type": "lifespan.shutdown.complete"})
