"""An application that does one small thing per path, and the program that serves it in processes of its own."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
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
from entrepot.http.tls import TLS
from entrepot.oci.errors import Unauthorized

PIECE: Final = b"x" * (256 * 1024)


def hello(request: Request) -> Response:
    """Answer a few bytes."""
    observation = observation_of(request)
    observation.route = "/hello"
    observation.repository = request.query_params.get("repository")
    return PlainTextResponse("hello\n")


def echo(request: Request) -> Response:
    """Tell what the application was told about the request."""
    return JSONResponse(
        {
            "method": request.method,
            "path": request.scope["raw_path"].decode("ascii"),
            "query": request.scope["query_string"].decode("ascii"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
            "client": list(request.scope["client"]),
            "scheme": request.scope["scheme"],
            "listener": request.scope[KEY],
            "pid": os.getpid(),
        }
    )


async def take(request: Request) -> Response:
    """Read the whole body piece by piece, and say how long it was."""
    length = 0
    async for piece in chunks(request):
        length += len(piece)
    return PlainTextResponse(f"{length}\n", 201)


async def keep(request: Request) -> Response:
    """Read a body of at most 1000 bytes, and give it back."""
    return Response(await read_body(request, at_most=1000))


def refuse(request: Request) -> Response:
    """Refuse before the body."""
    raise Unauthorized(scope="repository:a:push")


def give(request: Request) -> Response:
    """Send as many bytes as are asked for."""
    length = int(request.query_params["length"])
    return StreamedReply(_pieces(length), length, headers={"Content-Type": "application/octet-stream"})


def break_off(request: Request) -> Response:
    """Fail when half of the answer has been sent."""

    async def half() -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  read as an asynchronous one
        yield PIECE
        raise OSError

    return StreamedReply(half(), 2 * len(PIECE), headers={"Content-Type": "application/octet-stream"})


async def wait(request: Request) -> Response:
    """Answer after so many seconds, as one who works on it."""
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("done\n")


def fail(request: Request) -> Response:
    """Fail in a way that nobody foresaw."""
    password = request.query_params.get("password", "")
    raise RuntimeError(password)


async def _pieces(length: int) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  read as an asynchronous one
    while length:
        piece = PIECE[:length]
        length -= len(piece)
        yield piece


_PROMPT: Final = {
    "/hello": hello,
    "/echo": echo,
    "/refuse": refuse,
    "/give": give,
    "/break-off": break_off,
    "/fail": fail,
}
_PATIENT: Final = {"/take": take, "/keep": keep, "/wait": wait}


async def handlers(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a request to its path's handler."""
    request = Request(scope, receive)
    path = scope["path"]
    if path in _PROMPT:
        response = _PROMPT[path](request)
    elif path in _PATIENT:
        response = await _PATIENT[path](request)
    else:
        raise PathUnknown
    await response(scope, receive, send)


@asynccontextmanager
async def _started(failure: str | None, metrics: Metrics) -> AsyncGenerator[Metrics, None]:
    if failure is not None:
        raise ConnectionError(failure)
    yield metrics


async def _seven() -> float:  # ruff: ignore[unused-async]  read as an asynchronous one
    return 7.0


def application(
    limits: Limits,
    proxies: TrustedProxies | None = None,
    failure: str | None = None,
) -> ASGIApp:
    """The application of the listeners ``public`` and ``operations``; its start ends in ``failure`` if one is given."""
    metrics = Metrics()
    trusted = proxies or TrustedProxies()
    operations = ops_app(checks={}, metrics=metrics, gauges=[Gauge("entrepot_uploads_open", "Open uploads.", _seven)])
    return by_listener(
        {
            "public": front(handlers, limits=limits, metrics=metrics, proxies=trusted),
            "operations": front(operations, limits=limits, metrics=metrics, proxies=trusted),
        },
        partial(_started, failure, metrics),
    )


def _tell(addresses: Sequence[Address]) -> None:
    ports = {address.listener: address.port for address in addresses}
    print(json.dumps(ports), flush=True)  # ruff: ignore[print]  the test reads it


def main() -> None:
    """Serve on free ports, printed as one line of JSON, until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--graceful-seconds", type=float, default=5.0)
    parser.add_argument("--failure")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    arguments = parser.parse_args()
    limits = Limits(graceful_time=timedelta(seconds=arguments.graceful_seconds))
    tls = None
    if arguments.certificate is not None:
        tls = TLS(arguments.certificate, arguments.key, check_every=timedelta(milliseconds=50))
    serve(
        partial(application, limits, failure=arguments.failure),
        [Listener("public", "127.0.0.1", 0, tls), Listener("operations", "127.0.0.1", 0)],
        limits=limits,
        workers=arguments.workers,
        logs=Logs(),
        on_ready=_tell,
    )
    sys.exit(0)


if __name__ == "__main__":
    main()
