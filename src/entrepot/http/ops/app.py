"""``/healthz``, ``/readyz`` and ``/metrics``."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import starmap
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.http.errors import PathUnknown
from entrepot.http.metrics import CONTENT_TYPE, Measured, Metrics, Reading
from entrepot.http.observation import observation_of
from entrepot.oci.errors import MethodNotAllowed

logger = logging.getLogger(__name__)

Check: TypeAlias = Callable[[], Awaitable[None]]
"""Returns when what it looks at works, raises otherwise."""

Authorize: TypeAlias = Callable[[Request], Awaitable[None]]
"""Raises Unauthorized or Denied unless the caller may read the numbers."""

OPS_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})

_PATIENCE: Final = timedelta(seconds=2)
_FRESH: Final = timedelta(seconds=1)
"""Probes that come faster than this share one answer, so that nobody can use them to load the database."""

_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that is read when it is asked for, such as open uploads; ``name`` begins with ``entrepot_``.

    One with ``labels`` reads a number for each combination of their values.
    """

    name: str
    documentation: str
    read: Callable[[], Awaitable[Measured]]
    labels: tuple[str, ...] = ()


def ops_app(
    *,
    checks: Mapping[str, Check],
    metrics: Metrics,
    gauges: Sequence[Gauge] = (),
    authorize: Authorize | None = None,
) -> ASGIApp:
    """The ASGI application of the operations address, or its part of the public one.

    Without ``authorize`` everything is open, as on an address of its own. With it the numbers need a right, and
    ``/readyz`` does not say what failed.
    """
    return _Ops(_Readiness(checks), metrics, gauges, authorize)


class _Ops:
    def __init__(
        self, readiness: "_Readiness", metrics: Metrics, gauges: Sequence[Gauge], authorize: Authorize | None
    ) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._gauges = gauges
        self._authorize = authorize
        self._routes = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._show_metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        handler = self._routes.get(scope["path"])
        if handler is None:
            raise PathUnknown
        observation = observation_of(request)
        observation.route = scope["path"]
        observation.quiet = True
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(allow=["GET", "HEAD"])
        response = await handler(request)
        await response(scope, receive, send)

    async def _healthz(self, request: Request) -> Response:  # ruff: ignore[unused-method-argument]  a handler's signature
        """Answer 200 as long as the process serves at all."""
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def _readyz(self, request: Request) -> Response:  # ruff: ignore[unused-method-argument]  a handler's signature
        """Answer 200 when all that a request needs works, else 503."""
        failed = await self._readiness.failed()
        content: dict[str, object] = {"status": "unavailable" if failed else "ok"}
        if self._authorize is None:
            content["checks"] = {name: failed.get(name, "ok") for name in self._readiness.names}
        return JSONResponse(content, 503 if failed else 200, headers=_NO_STORE)

    async def _show_metrics(self, request: Request) -> Response:
        """Answer the numbers of all workers in Prometheus' text format."""
        if self._authorize is not None:
            await self._authorize(request)
        readings = await asyncio.gather(*map(_reading, self._gauges))
        found = [reading for reading in readings if reading is not None]
        text = await asyncio.to_thread(self._metrics.exposition, found)
        return Response(text, headers={**_NO_STORE, "Content-Type": CONTENT_TYPE})


class _Readiness:
    """The outcome of all checks, at most a second old."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._lock = asyncio.Lock()
        self._failed: dict[str, str] = {}
        self._fresh_until = float("-inf")

    @property
    def names(self) -> list[str]:
        return list(self._checks)

    async def failed(self) -> dict[str, str]:
        """Which checks failed, each with a word that holds no secret."""
        clock = asyncio.get_running_loop().time
        async with self._lock:
            if clock() >= self._fresh_until:
                outcomes = await asyncio.gather(*starmap(_outcome, self._checks.items()))
                self._failed = {
                    name: outcome for name, outcome in zip(self._checks, outcomes, strict=True) if outcome is not None
                }
                self._fresh_until = clock() + _FRESH.total_seconds()
            return self._failed


async def _outcome(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            await check()
    except TimeoutError:
        logger.warning("readiness check timed out", extra={"check": name})
        return "timed out"
    except Exception as error:
        logger.warning("readiness check failed", exc_info=error, extra={"check": name})
        return "failed"
    return None


async def _reading(gauge: Gauge) -> Reading | None:
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            return Reading(gauge.name, gauge.documentation, gauge.labels, await gauge.read())
    except Exception as error:
        logger.warning("gauge not read", exc_info=error, extra={"gauge": gauge.name})
        return None
