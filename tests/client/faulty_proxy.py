"""An HTTP proxy before a registry that does to requests what bad networks and bad servers do, when it is told to."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Act = Callable[["FaultyProxy", web.Request], Awaitable[web.StreamResponse]]

_HOP = frozenset({"connection", "transfer-encoding", "host", "keep-alive"})
PIECE = 64 * 1024


@dataclass
class Fault:
    """What happens to the next ``times`` requests of a method whose path has ``part`` in it."""

    act: Act
    method: str = ""
    part: str = ""
    times: int = 1_000_000
    at_least: int = 0
    """Bytes that a request's body has to have."""

    def takes(self, request: web.Request) -> bool:
        """Whether this request is one of them."""
        fits = (not self.method or request.method == self.method) and self.part in request.raw_path
        if not fits or self.times <= 0 or (request.content_length or 0) < self.at_least:
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    length: int


@dataclass
class FaultyProxy:
    """``seen`` are all requests, in order; without faults everything passes."""

    target: str
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    sent_down: int = 0
    session: aiohttp.ClientSession | None = None

    @property
    def address(self) -> str:
        """As references name it."""
        return f"127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or do to it what a fault says."""
        length = request.content_length or 0
        self.seen.append(Seen(time.monotonic(), request.method, request.raw_path, dict(request.headers), length))
        fault = next((fault for fault in self.faults if fault.takes(request)), None)
        return await (fault.act(self, request) if fault is not None else self.passed(request))

    async def passed(
        self,
        request: web.Request,
        *,
        without: str = "",
        headers: Mapping[str, str] | None = None,
        change: Callable[[int, bytes], bytes] | None = None,
    ) -> web.StreamResponse:
        """Ask the registry, without one of the request's headers; answer with more headers and a changed body."""
        assert self.session is not None
        sent = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP and name.lower() != without
        }
        url = f"http://{self.target}{request.raw_path}"
        body = request.content.iter_chunked(PIECE) if request.can_read_body else None
        async with self.session.request(
            request.method, url, headers=sent, data=body, allow_redirects=False, skip_auto_headers=["Content-Type"]
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            kept = {name: value.replace(self.target, self.address) for name, value in kept.items()}
            response = web.StreamResponse(status=answer.status, headers={**kept, **(headers or {})})
            await response.prepare(request)
            position = 0
            async for piece in answer.content.iter_chunked(PIECE):
                await response.write(piece if change is None else change(position, piece))
                position += len(piece)
                self.sent_down += len(piece)
            return response


def status(code: int, headers: Mapping[str, str] | None = None, body: str = "") -> Act:
    """Answer with this, without reading what the request brings."""

    async def act(proxy: FaultyProxy, request: web.Request) -> web.StreamResponse:  # ruff: ignore[unused-async]  as all
        del proxy, request
        return web.Response(status=code, headers=headers, text=body)

    return act


def stalled(seconds: float) -> Act:
    """Say nothing for so long."""

    async def act(proxy: FaultyProxy, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await proxy.passed(request)

    return act


def stalled_after(length: int, seconds: float) -> Act:
    """Answer with the beginning of the body, and then nothing."""

    async def act(proxy: FaultyProxy, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(length * 4)})
        await response.prepare(request)
        await asyncio.sleep(seconds)
        return response

    return act


def flipped(at: int) -> Act:
    """Change one byte of the answer's body."""

    def change(position: int, piece: bytes) -> bytes:
        if not position <= at < position + len(piece):
            return piece
        index = at - position
        return piece[:index] + bytes([piece[index] ^ 1]) + piece[index + 1 :]

    async def act(proxy: FaultyProxy, request: web.Request) -> web.StreamResponse:
        return await proxy.passed(request, change=change)

    return act


def without(header: str) -> Act:
    """Pass it on without one of its headers."""

    async def act(proxy: FaultyProxy, request: web.Request) -> web.StreamResponse:
        return await proxy.passed(request, without=header)

    return act


def answering(headers: Mapping[str, str]) -> Act:
    """Pass it on, and add headers to the answer."""

    async def act(proxy: FaultyProxy, request: web.Request) -> web.StreamResponse:
        return await proxy.passed(request, headers=headers)

    return act


def endless(media_type: str = "application/octet-stream", headers: Mapping[str, str] | None = None) -> Act:
    """Answer with a body that has no end."""

    async def act(proxy: FaultyProxy, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": media_type, **(headers or {})})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * PIECE)
                proxy.sent_down += PIECE
        return response

    return act


@contextlib.contextmanager
def faulty_proxy(target: str) -> Generator[FaultyProxy, None, None]:
    """A proxy in a thread before ``host:port``."""
    proxy = FaultyProxy(target)
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        async with aiohttp.ClientSession(auto_decompress=False) as proxy.session:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            proxy.port = runner.addresses[0][1]
            ready.set()
            await stop.wait()
            await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
