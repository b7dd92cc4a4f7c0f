"""An application that does one small thing per path, and the program that serves it in processes of its own."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.http.bodies import chunks, read_body
from entrepot.http.errors import PathUnknown
from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.listeners import KEY, Address, Listener, by_listener
from entrepot.http.logs import Logs
from entrepot.http.metrics import Metrics
from entrepot.http.observation import observation_of
from entrepot.http.ops import Gauge, ops_app
from entrepot.http.proxies import TrustedProxies
from entrepot.http.replies import StreamedReply
from entrepot.http.server import serve
from entrepot.oci.errors import Unauthorized

PIECE: Final = b"x" * (256 * 1024)


async def hello(request: Request) -> Response:
    """Answer a few bytes."""
    observation = observation_of(request)
    observation.route = "/hello"
    observation.repository = request.query_params.get("repository")
    return PlainTextResponse("hello\n")


async def echo(request: Request) -> Response:
    """Tell what the application was told about the request."""
    return JSONResponse({
        "method": request.method,
        "path": request.scope["raw_path"].decode("ascii"),
        "query": request.scope["query_string"].decode("ascii"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
        "client": list(request.scope["client"]),
        "scheme": request.scope["scheme"],
        "listener": request.scope[KEY],
        "pid": os.getpid(),
    })


async def take(request: Request) -> Response:
    """Read the whole body piece by piece, and say how long it was."""
    length = 0
    async for piece in chunks(request):
        length += len(piece)
    return PlainTextResponse(f"{length}\n", 201)


async def keep(request: Request) -> Response:
    """Read a body of at most 1000 bytes, and give it back."""
    return Response(await read_body(request, at_most=1000))


async def refuse(request: Request) -> Response:
    """Refuse before the body."""
    raise Unauthorized(scope="repository:a:push")


async def give(request: Request) -> Response:
    """Send as many bytes as are asked for."""
    length = int(request.query_params["length"])
    return StreamedReply(_pieces(length), length, headers={"Content-Type": "application/octet-stream"})


async def break_off(request: Request) -> Response:
    """Fail when half of the answer has been sent."""

    async def half() -> AsyncIterator[bytes]:
        yield PIECE
        raise OSError

    return StreamedReply(half(), 2 * len(PIECE), headers={"Content-Type": "application/octet-stream"})


async def wait(request: Request) -> Response:
    """Answer after so many seconds, as one who works on it."""
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("done\n")


async def fail(request: Request) -> Response:
    """Fail in a way that nobody foresaw."""
    password = request.query_params.get("password", "")
    raise RuntimeError(password)


async def _pieces(length: int) -> AsyncIterator[bytes]:
    while length:
        piece = PIECE[:length]
        length -= len(piece)
        yield piece


_HANDLERS: Final = {
    "/hello": hello,
    "/echo": echo,
    "/take": take,
    "/keep": keep,
    "/refuse": refuse,
    "/give": give,
    "/break-off": break_off,
    "/wait": wait,
    "/fail": fail,
}


async def handlers(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a request to its path's handler."""
    request = Request(scope, receive)
    handler = _HANDLERS.get(scope["path"])
    if handler is None:
        raise PathUnknown
    response = await handler(request)
    await response(scope, receive, send)


@asynccontextmanager
async def _nothing_to_start() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _no_start() -> AsyncIterator[None]:
    message = "the database is not there"
    raise ConnectionError(message)
    yield


async def _seven() -> float:
    return 7.0


def application(
    limits: Limits,
    proxies: TrustedProxies | None = None,
    lifespan: Callable[[], AbstractAsyncContextManager[None]] = _nothing_to_start,
) -> ASGIApp:
    """The application of the listeners ``public`` and ``operations``."""
    metrics = Metrics()
    trusted = proxies or TrustedProxies()
    operations = ops_app(checks={}, metrics=metrics, gauges=[Gauge("entrepot_uploads_open", "Open uploads.", _seven)])
    return by_listener(
        {
            "public": front(handlers, limits=limits, metrics=metrics, proxies=trusted),
            "operations": front(operations, limits=limits, metrics=metrics, proxies=trusted),
        },
        lifespan,
    )


def unstartable(limits: Limits) -> ASGIApp:
    """An application whose start fails."""
    return application(limits, lifespan=_no_start)


def _tell(addresses: Sequence[Address]) -> None:
    print(json.dumps({address.listener: address.port for address in addresses}), flush=True)  # ruff: ignore[T201]  the test reads it


def main() -> None:
    """Serve on free ports, printed as one line of JSON, until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--graceful-seconds", type=float, default=5.0)
    parser.add_argument("--unstartable", action="store_true")
    arguments = parser.parse_args()
    limits = Limits(graceful_time=timedelta(seconds=arguments.graceful_seconds))
    serve(
        partial(unstartable if arguments.unstartable else application, limits),
        [Listener("public", "127.0.0.1", 0), Listener("operations", "127.0.0.1", 0)],
        limits=limits,
        workers=arguments.workers,
        logs=Logs(),
        on_ready=_tell,
    )
    sys.exit(0)


if __name__ == "__main__":
    main()
