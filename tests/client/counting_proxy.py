"""A proxy of TCP connections that counts what passes, and breaks connections off when it is told to."""

import asyncio
import contextlib
import threading
from collections.abc import Generator
from dataclasses import dataclass, field


@dataclass
class CountingProxy:
    """``sent`` are the bytes from clients; each of ``breaks`` is how many of one connection pass before it is reset."""

    target: tuple[str, int]
    port: int = 0
    sent: int = 0
    received: int = 0
    breaks: list[int] = field(default_factory=list)
    breaks_down: list[int] = field(default_factory=list)

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Serve until ``stop``."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()
        await asyncio.sleep(0.1)  # for what was aborted to be closed

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self.target)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_up: bool) -> None:
            passed = 0
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    passed += len(data)
                    if is_up:
                        self.sent += len(data)
                    else:
                        self.received += len(data)
                    breaks = self.breaks if is_up else self.breaks_down
                    if breaks and passed > breaks[0]:
                        breaks.pop(0)
                        writer.transport.abort()
                        up_writer.transport.abort()
                        return
                    sink.write(data)
                    await sink.drain()
            with contextlib.suppress(OSError):
                sink.close()

        try:
            await asyncio.gather(
                pump(reader, up_writer, is_up=True), pump(up_reader, writer, is_up=False), return_exceptions=True
            )
        finally:
            for end in (writer, up_writer):
                end.transport.abort()


@contextlib.contextmanager
def counting_proxy(address: str) -> Generator[CountingProxy, None, None]:
    """A proxy in a thread before ``host:port``."""
    host, _, port = address.rpartition(":")
    proxy = CountingProxy((host, int(port)))
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        await proxy.serve(ready, stop)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
