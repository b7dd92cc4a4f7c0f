"""One client connection: uvicorn's httptools protocol with the caps and deadlines that it lacks."""

import asyncio
import logging
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from entrepot.http.cycles import body_first
from entrepot.http.errors import (
    ClientGone,
    HeadersTooLarge,
    HeadersTooSlow,
    HostInvalid,
    ReaderTooSlow,
    TargetTooLong,
    body_of,
    headers_of,
    status_of,
)
from entrepot.http.limits import Limits
from entrepot.http.listeners import KEY as LISTENER_KEY
from entrepot.http.listeners import Listener
from entrepot.http.tls import VOUCHED_KEY
from entrepot.oci.errors import RegistryError, RequestInvalid, Unavailable

_KEPT_ALIVE_AT_MOST: Final = 1024 * 1024
"""A refused body of at most so many bytes is read to its end to keep the connection; beyond it a new one is cheaper."""

_REQUEST_LINE: Final = len(b"OPTIONS  HTTP/1.1\r\n")
_FIELD: Final = len(b": \r\n")

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""A name or an address, and a port (RFC 3986 section 3.2.2, without what no registry is called)."""

_access = logging.getLogger("entrepot.access")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits in the units of the event loop, worked out once per process."""

    limits: Limits
    connections: int
    header_seconds: float
    idle_seconds: float
    window_seconds: float
    window_bytes: float
    drain_seconds: float

    @classmethod
    def of(cls, limits: Limits, connections: int) -> Self:
        """The terms of these limits with at most so many open connections."""
        window = limits.rate_window.total_seconds()
        return cls(
            limits=limits,
            connections=connections,
            header_seconds=limits.header_time.total_seconds(),
            idle_seconds=limits.idle_time.total_seconds(),
            window_seconds=window,
            window_bytes=window * limits.minimum_rate,
            drain_seconds=limits.drain_time.total_seconds(),
        )


class Connection(HttpToolsProtocol):
    """A connection that keeps to the limits; written for uvicorn 0.54, whose version is pinned.

    Added to uvicorn's: caps on headers, trailers, target and pipelining; deadlines for headers and idleness; a minimum
    rate of reading; exactly one valid ``Host``; a bounded end to bodies that were refused; ``send`` that raises
    ClientGone when the client has left (ASGI 2.4); the listener's name in the scope. ``check`` is to be called often.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], terms: Terms, listener: Listener
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._terms = terms
        self._limits = terms.limits
        self._listener = listener
        self._vouched: str | None = None
        # Of the request whose bytes are arriving:
        self._head_since: float | None = self.loop.time()
        self._head_complete = False
        self._body_arriving = False
        self._head_bytes = 0
        self._fields = 0
        self._unaccounted = 0  # bytes since the last that were part of a body or ended a head
        self._refusal: RegistryError | None = None
        self._deaf = False
        # Of the connection:
        self._resting_since = self.loop.time()
        self._lingers_until: float | None = None
        self._left_to_drain = self._limits.drained_bytes
        self._written = 0
        self._reading_since: float | None = None
        self._accepted_then = 0
        self._too_slow = False

    # Connection

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or answer 503 at once when there are too many."""
        super().connection_made(transport)
        if self._listener.tls is not None:
            self._vouched = self._listener.tls.vouched(transport.get_extra_info("ssl_object"))
        if len(self.connections) > self._terms.connections:
            self._write_refusal(Unavailable(reason="connections"))
            transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; uvicorn keeps the idle timer, and so the connection, after an error."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.pipeline.clear()

    @override
    def data_received(self, data: bytes) -> None:
        """Parse what arrived, or count it while it is thrown away."""
        if self._lingers_until is not None or self._deaf:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        if self._head_since is None and not self._body_arriving:
            self._head_since = self.loop.time()
        self._unaccounted += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True
            return
        except httptools.HttpParserError:
            self._refuse(self._refusal or RequestInvalid(reason="http"))
            return
        if self._unaccounted > self._limits.header_bytes:
            self._refuse(HeadersTooLarge(limit=self._limits.header_bytes))

    def check(self, now: float) -> None:
        """End the connection when one of its deadlines has passed; ``now`` is the event loop's time."""
        if self._lingers_until is not None:
            if now >= self._lingers_until:
                self.transport.abort()
        elif self._reads_too_slowly(now):
            self._too_slow = True
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._head_since is not None:
            if now - self._head_since > self._terms.header_seconds:
                self._give_up_on_head()
        elif self.cycle.response_complete:
            patience = self._terms.drain_seconds if self._body_arriving else self._terms.idle_seconds
            if now - self._resting_since > patience:
                self.transport.close()

    # Parser

    @override
    def on_message_begin(self) -> None:
        """Begin a request: its listener is known, and its sender is told when the reader leaves (ASGI 2.4)."""
        super().on_message_begin()
        self.scope["asgi"]["spec_version"] = "2.4"
        self.scope[LISTENER_KEY] = self._listener.name  # type: ignore[typeddict-unknown-key]
        self.scope[VOUCHED_KEY] = self._vouched  # type: ignore[typeddict-unknown-key]
        if self._head_since is None:
            self._head_since = self.loop.time()
        self._head_complete = False
        self._body_arriving = False
        self._head_bytes = _REQUEST_LINE
        self._fields = 0
        self._unaccounted = 0

    @override
    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        super().on_url(url)
        if len(self.url) > self._limits.target_bytes:
            raise self._refused(TargetTooLong(limit=self._limits.target_bytes))
        self._count_head(len(url))

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; trailers are counted and dropped, for they must not pass as headers."""
        self._fields += 1
        if self._fields > self._limits.header_count:
            raise self._refused(HeadersTooLarge(limit=self._limits.header_count, reason="count"))
        self._count_head(len(name) + len(value) + _FIELD)
        if not self._head_complete:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        """Begin serving the request, or queue it behind the one that is being answered."""
        self._head_since = None
        self._head_complete = True
        self._unaccounted = 0
        if not self._host_is_valid():
            raise self._refused(HostInvalid())
        if len(self.pipeline) >= self._limits.pipelined:
            raise self._refused(RequestInvalid(reason="pipelined"))
        upgrade = self.parser.should_upgrade()
        if upgrade and any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers):
            # httptools takes the body for the other protocol's bytes, and the application would see none.
            raise self._refused(RequestInvalid(reason="upgrade"))
        super().on_headers_complete()
        self._body_arriving = True
        if upgrade:
            # Nothing is upgraded to here, and the parser is of no use after such a request.
            self.cycle.keep_alive = False

    @override
    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on, or drop it when the request has been answered."""
        self._unaccounted = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        """End the body; when it was being dropped the connection is idle from now on."""
        self._body_arriving = False
        self._unaccounted = 0
        self._resting_since = self.loop.time()
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        """Serve the next request in line, or rest."""
        if self._lingers_until is not None:
            self.server_state.total_requests += 1
            return
        self._resting_since = self.loop.time()
        self.cycle.body = bytearray() if self.cycle.response_complete else self.cycle.body
        super().on_response_complete()

    # Requests and answers

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.transport = _Outlet(self, cycle)
        super()._start_asgi_task(cycle, self._served(cycle, app))

    def _served(self, cycle: RequestResponseCycle, app: ASGIApp) -> Any:
        """The application with a ``send`` that minds refused bodies and clients that left."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def mindful(message: Message) -> None:
                if cycle.more_body and not cycle.response_started and not self._worth_draining(cycle):
                    cycle.keep_alive = False
                await send(message)
                if cycle.disconnected:
                    raise ReaderTooSlow if self._too_slow else ClientGone

            try:
                await app(scope, body_first(cycle, receive), mindful)
            except asyncio.CancelledError:
                logger.warning("request cut off by the end of the grace period")
            except ClientGone:
                # Nobody is left to be told.
                cycle.disconnected = True
            if cycle.response_started and not cycle.response_complete:
                self.cut(cycle)

        return serve

    def wrote(self, length: int) -> None:
        """Count bytes of an answer."""
        self._written += length

    def finish(self, cycle: RequestResponseCycle) -> None:
        """End the connection after an answer, in a way that the client can still read it."""
        if not cycle.response_complete:
            self.cut(cycle)
        elif cycle is self.cycle and cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def cut(self, cycle: RequestResponseCycle) -> None:
        """End the connection amid an answer, so that nobody takes a part for the whole."""
        cycle.disconnected = True
        self.transport.abort()

    def _worth_draining(self, cycle: RequestResponseCycle) -> bool:
        """Whether the body of a request that is answered early is short enough to be read for the next request's sake.

        Never after ``Expect: 100-continue``: the client may leave the body out (RFC 9110 section 10.1.1).
        """
        if cycle.waiting_for_100_continue:
            return False
        declared = next((value for name, value in cycle.scope["headers"] if name == b"content-length"), None)
        return declared is not None and int(declared) <= _KEPT_ALIVE_AT_MOST

    # Ends

    def _give_up_on_head(self) -> None:
        if self._unaccounted or (self._head_bytes and not self._head_complete):
            self._refuse(HeadersTooSlow())
        else:
            self.transport.close()

    def _refused(self, error: RegistryError) -> RegistryError:
        """Note why the parser is being stopped: it wraps what its callbacks raise."""
        self._refusal = error
        return error

    def _refuse(self, error: RegistryError) -> None:
        """Answer a request that the application does not get to see, or not whole, and end the connection."""
        if self.transport.is_closing():
            return
        running = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]
        if running:
            of_this_request = self._body_arriving and not self.pipeline
            if self.cycle.response_started or not of_this_request:
                # An answer here would read as part of the one that is under way.
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._write_refusal(error)
        self._linger()

    def _write_refusal(self, error: RegistryError) -> None:
        status, body = status_of(error), body_of(error)
        headers = {**headers_of(error), "Content-Length": str(len(body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self.wrote(len(body))
        self.transport.write("\r\n".join(lines).encode("latin-1") + body)
        remote = self.client[0] if self.client else None
        _access.info("refused", extra={"status": status, "code": error.code, "detail": error.detail, "remote": remote})

    def _linger(self) -> None:
        """Say that nothing more comes, and read on for a while: closing now would lose what the client has not read."""
        self._lingers_until = self.loop.time() + self._terms.drain_seconds
        self._unset_keepalive_if_required()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _discard(self, length: int) -> None:
        self._left_to_drain -= length
        if self._left_to_drain < 0:
            self.transport.abort()

    # Rules

    def _count_head(self, length: int) -> None:
        self._head_bytes += length
        if self._head_bytes > self._limits.header_bytes:
            raise self._refused(HeadersTooLarge(limit=self._limits.header_bytes))

    def _host_is_valid(self) -> bool:
        """Whether there is one ``Host`` and it agrees with an absolute target; HTTP/1.0 may do without."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if not hosts:
            return self.parser.get_http_version() == "1.0" and self.url.startswith(b"/")
        if len(hosts) > 1 or not _HOST.fullmatch(hosts[0]):
            return False
        if self.url.startswith((b"/", b"*")):
            return True
        _, _, rest = self.url.partition(b"://")
        return re.split(rb"[/?#]", rest, maxsplit=1)[0].lower() == hosts[0].lower()

    def _reads_too_slowly(self, now: float) -> bool:
        """Whether the client has taken less than the minimum rate asks of what lies ready for it."""
        pending = self.transport.get_write_buffer_size()
        if not pending:
            self._reading_since = None
            return False
        accepted = self._written - pending
        if self._reading_since is None or accepted - self._accepted_then >= self._terms.window_bytes:
            self._reading_since, self._accepted_then = now, accepted
        return now - self._reading_since > self._terms.window_seconds


class _Outlet(asyncio.Transport):
    """The connection's transport as one answer sees it: writes are counted, and closing is left to the connection."""

    def __init__(self, connection: Connection, cycle: RequestResponseCycle) -> None:
        super().__init__()
        self._connection = connection
        self._cycle = cycle

    @override
    def write(self, data: Any) -> None:
        self._connection.wrote(len(data))
        self._connection.transport.write(data)

    @override
    def is_closing(self) -> bool:
        return self._connection.transport.is_closing()

    @override
    def close(self) -> None:
        self._connection.finish(self._cycle)
