"""Running ASGI applications: sockets, processes, signals, and the end of them all."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import ssl
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import starmap
from socket import socket
from typing import Any, Final, TypeAlias

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from entrepot.http import logs as logging_setup
from entrepot.http.certificate_watch import CertificateWatch
from entrepot.http.connections import Connection, Terms
from entrepot.http.limits import Limits
from entrepot.http.listen_errors import ListenError
from entrepot.http.listeners import BACKLOG, METRICS_KEY, Address, Listener, address_of, listening_socket
from entrepot.http.logs import Logs
from entrepot.http.workers import Report, StartupFailed, stop_with_parent, supervise

logger = logging.getLogger(__name__)

AppFactory: TypeAlias = Callable[[], ASGIApp]
"""Builds the application inside each worker; an importable function or a ``partial`` of one, for it is sent there."""

OnReady: TypeAlias = Callable[[Sequence[Address]], None]

_OTHER_FILES: Final = 128
"""Descriptors that a process needs beside its connections: database, logs, libraries."""

_FILES_PER_CONNECTION: Final = 2
"""Its socket, and the object that it reads or writes."""

_CANCEL_TIME: Final = timedelta(seconds=5)
"""For requests that were cancelled at the end of the grace period to record how far they came."""


def serve(
    app_factory: AppFactory,
    listeners: Sequence[Listener],
    *,
    limits: Limits,
    workers: int = 1,
    logs: Logs | None = None,
    on_ready: OnReady | None = None,
    on_stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is running within the grace period and return.

    Several workers share the sockets and are replaced when they die. ``on_ready`` is called once, when every worker has
    started, with the addresses in the order of ``listeners``; ``on_stopping`` when the end begins. ``logs`` None leaves
    logging as it is. Raises ListenError
    when an address or certificate cannot be used, StartupFailed when the application does not start.
    """
    for listener in listeners:
        if listener.tls is not None:
            listener.tls.load()
    _raise_file_limit(limits)
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(listening_socket(listener)) for listener in listeners]
        addresses = list(starmap(address_of, zip(listeners, sockets, strict=True)))
        served = Served(app_factory, tuple(listeners), limits, logs)

        def ready() -> None:
            if on_ready is not None:
                on_ready(addresses)

        if workers == 1:
            with _returning_after_signals():
                served.run(sockets, ready, on_stopping)
        else:
            if logs is not None:
                logging_setup.configure(logs)
            grace = limits.graceful_time + _CANCEL_TIME

            def stopping() -> None:
                on_stopping()
                held.close()

            supervise(partial(_work, served, sockets), workers, grace=grace, ready=ready, stopping=stopping)


@contextlib.contextmanager
def serving(
    app_factory: AppFactory, listeners: Sequence[Listener], *, limits: Limits
) -> Generator[Sequence[Address], None, None]:
    """Serve in a thread of this process for as long as the block runs: for tests and for embedding.

    Raises as ``serve`` does; signals are left alone.
    """
    started = threading.Event()
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(listening_socket(listener)) for listener in listeners]
        addresses = list(starmap(address_of, zip(listeners, sockets, strict=True)))
        server = Served(app_factory, tuple(listeners), limits, None).server(started.set)
        failures: list[BaseException] = []

        def run() -> None:
            try:
                server.run(sockets)
            except BaseException as error:  # ruff: ignore[blind-except]  handed to the other thread
                failures.append(error)
            finally:
                started.set()

        thread = threading.Thread(target=run, name="entrepot-server")
        thread.start()
        try:
            started.wait()
            if not failures:
                yield addresses
        finally:
            server.should_exit = True
            thread.join()
        if failures:
            raise failures[0]


@dataclass(frozen=True, slots=True)
class Served:
    """What one process serves, in a form that can be sent to it."""

    app_factory: AppFactory
    listeners: tuple[Listener, ...]
    limits: Limits
    logs: Logs | None

    def server(self, ready: Callable[[], None], stopping: Callable[[], None] = lambda: None) -> "Server":
        """The server of this process; its application is built here."""
        if self.logs is not None:
            logging_setup.configure(self.logs)
        config = uvicorn.Config(
            self.app_factory(),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=max(1, round(self.limits.idle_time.total_seconds())),
        )
        return Server(config, self.listeners, self.limits, ready, stopping)

    def run(
        self, sockets: list[socket], ready: Callable[[], None], stopping: Callable[[], None] = lambda: None
    ) -> None:
        """Serve on these sockets, in the order of the listeners, until a signal."""

        def settled() -> None:
            # A full collection of what was made at the start would stop every request for some 150 ms, now and then.
            gc.collect()
            gc.freeze()
            ready()

        self.server(settled, stopping).run(sockets)


class Server(uvicorn.Server):
    """uvicorn's server with several listeners, hardened connections, and an end that waits for cancelled requests."""

    def __init__(
        self,
        config: uvicorn.Config,
        listeners: Sequence[Listener],
        limits: Limits,
        ready: Callable[[], None],
        stopping: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listeners = listeners
        self._limits = limits
        self._terms = Terms.of(limits, connections_at_most(limits))
        self._ready = ready
        self._stopping = stopping
        self._sweep: asyncio.TimerHandle | None = None
        self._watches: list[asyncio.Task[None]] = []
        config.load()
        config.lifespan_class = _Lifespan

    @override
    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start the application, then accept connections; raises StartupFailed."""
        assert isinstance(self.lifespan, _Lifespan)
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise StartupFailed(self.lifespan.failure) from self.lifespan.error
        metrics = self.lifespan.state.pop(METRICS_KEY, None)
        self.servers = []
        for number, (listener, sock) in enumerate(zip(self._listeners, sockets or (), strict=True)):
            watch = None if listener.tls is None else CertificateWatch(listener.name, listener.tls, metrics)
            self.servers.append(await self._accept(listener, sock, watch.first.context if watch else None))
            if watch is not None:
                self._watches.append(asyncio.create_task(watch.keep(partial(self._replace, number))))
        self._check_connections()
        self.started = True
        self._ready()

    @override
    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Accept no more, wait for running requests, cancel what is left, then end the application."""
        logger.info("stopping")
        self._stopping()
        for watch in self._watches:
            watch.cancel()
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await self._wait_until_quiet()
        if self.server_state.tasks:
            await self._cancel(set(self.server_state.tasks))
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        if self._sweep is not None:
            self._sweep.cancel()
        await self.lifespan.shutdown()

    async def _accept(self, listener: Listener, sock: socket, tls: ssl.SSLContext | None) -> asyncio.Server:
        """Accept connections on a socket, each with TLS of this context if there is one."""
        make = partial(Connection, self.config, self.server_state, self.lifespan.state, self._terms, listener)
        handshake: dict[str, Any] = {}
        if tls is not None:
            handshake = {"ssl": tls, "ssl_handshake_timeout": self._terms.header_seconds}
        return await asyncio.get_running_loop().create_server(make, sock=sock, backlog=BACKLOG, **handshake)

    async def _replace(self, number: int, tls: ssl.SSLContext) -> None:
        """Accept on the same socket with another context; connections that there are go on.

        A context is never changed while it is in use: OpenSSL keeps a certificate for each kind of key, so that the
        old one would still be served to some, and whoever was let in before would be let in again by a ticket.
        """
        before = self.servers[number]
        sock = before.sockets[0].dup()
        try:
            self.servers[number] = await self._accept(self._listeners[number], sock, tls)
        except BaseException:
            sock.close()
            raise
        before.close()

    def _check_connections(self) -> None:
        """Let every connection look at its deadlines, and come back in a fraction of the shortest."""
        loop = asyncio.get_running_loop()
        terms = self._terms
        shortest = min(terms.header_seconds, terms.idle_seconds, terms.window_seconds, terms.drain_seconds)
        self._sweep = loop.call_later(min(1.0, shortest / 8), self._check_connections)
        now = loop.time()
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.check(now)

    async def _wait_until_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._limits.graceful_time.total_seconds()
        state = self.server_state
        # ruff: ignore[async-busy-wait]  uvicorn tells nobody when a connection ends
        while (state.connections or state.tasks) and not self.force_exit and loop.time() < ends:
            await asyncio.sleep(0.05)

    async def _cancel(self, tasks: set[asyncio.Task[None]]) -> None:
        logger.warning("cancelling requests at the end of the grace period", extra={"requests": len(tasks)})
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_CANCEL_TIME.total_seconds())


class _Lifespan(LifespanOn):
    """uvicorn's lifespan, which also remembers why the application did not start."""

    failure = "the application does not start"
    error: BaseException | None = None

    @override
    async def send(self, message: LifespanSendMessage) -> None:
        if message["type"] == "lifespan.startup.failed":
            self.failure = message.get("message") or self.failure
            error: object = message.get("error")
            self.error = error if isinstance(error, BaseException) else None
        await super().send(message)


def connections_at_most(limits: Limits) -> int:
    """How many connections this process takes: the limit, or what its file descriptors allow if that is less."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits.connections
    return max(1, min(limits.connections, (soft - _OTHER_FILES) // _FILES_PER_CONNECTION))


def _raise_file_limit(limits: Limits) -> None:
    """Raise the soft limit of open files to what the connections need, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections * _FILES_PER_CONNECTION + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def _returning_after_signals() -> Generator[None, None, None]:
    """Let uvicorn, which raises a signal again when it has stopped for it, raise it into nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(served: Served, sockets: list[socket], report: Report) -> None:
    """The life of a worker process."""
    stop_with_parent()
    with _returning_after_signals():
        try:
            served.run(sockets, report.ready)
        except (StartupFailed, ListenError) as failure:
            report.failed(str(failure))
