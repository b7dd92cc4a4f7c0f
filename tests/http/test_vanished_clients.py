"""What a request still gets to see of a client that sent something and left."""

import asyncio
from functools import partial

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from entrepot.http.connections import Connection, Terms
from entrepot.http.limits import Limits
from entrepot.http.listeners import Listener

SECONDS_AT_MOST = 20


class Reader:
    """An application that reads its request only when it is told to."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.may_read = asyncio.Event()
        self.seen: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read to the end of the body, or until the client has left."""
        self.began.set()
        await self.may_read.wait()
        seen = [await receive()]
        while seen[-1].get("more_body"):
            seen.append(await receive())
        self.seen.set_result(seen)


LISTENER = Listener("public", "127.0.0.1", 0)


@pytest.mark.parametrize("declared", [1000, 2000])
async def test_the_body_comes_before_the_news_that_the_client_left(declared: int) -> None:
    """What had arrived is read first, whole or in part, though the connection ended before the application read it."""
    reader, state, limits = Reader(), ServerState(), Limits()
    config = uvicorn.Config(reader, log_config=None, lifespan="off", interface="asgi3")
    config.load()
    make = partial(Connection, config, state, {}, Terms.of(limits, limits.connections), LISTENER)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async with asyncio.timeout(SECONDS_AT_MOST), server:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {declared}\r\n\r\n".encode() + b"x" * 1000)
        await reader.began.wait()
        writer.close()
        await writer.wait_closed()
        # ruff: ignore[async-busy-wait]  uvicorn tells nobody when a connection ends
        while state.connections:
            await asyncio.sleep(0.01)
        reader.may_read.set()
        seen = await reader.seen
        await asyncio.wait(state.tasks)

    assert b"".join(message.get("body", b"") for message in seen) == b"x" * 1000
    ending = [message["type"] for message in seen if message["type"] == "http.disconnect"]
    assert ending == ([] if declared == 1000 else ["http.disconnect"])
