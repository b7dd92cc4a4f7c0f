"""What one request was and how it went: its id, its log line, its numbers."""

import logging
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.access import Principal
from entrepot.http.metrics import Metrics
from entrepot.http.proxies import TrustedProxies
from entrepot.oci.errors import RegistryError

KEY: Final = "entrepot.observation"
"""Where a scope holds its Observation."""

UNKNOWN_ROUTE: Final = "other"

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_NO_ANSWER: Final = 499
"""What the log says where the client left before an answer (nginx's convention)."""

_access = logging.getLogger("entrepot.access")

request_id: ContextVar[str | None] = ContextVar("entrepot_request_id", default=None)
"""The id of the request that is being served here, for log lines of every room."""


def _new_request_id() -> str:
    return uuid4().hex


@dataclass(slots=True)
class Observation:
    """One request as the log and the metrics will tell it; handlers fill in what they find out.

    ``route`` is a template such as ``/v2/<name>/blobs/<digest>``, never a path, so that metrics stay bounded.
    ``claimed`` is the name that was given with credentials in a body, which may not hold.
    ``quiet`` keeps a successful request out of the log (probes).
    """

    request_id: str = field(default_factory=_new_request_id)
    route: str = UNKNOWN_ROUTE
    repository: str | None = None
    principal: Principal | None = None
    claimed: str = ""
    code: str | None = None
    error: RegistryError | None = None
    status: int | None = None
    received: int = 0
    sent: int = 0
    quiet: bool = False

    def note(self, error: RegistryError) -> None:
        """Remember the error that the request is answered with."""
        self.error = error
        self.code = error.code


def observation_of(connection: Mapping[str, Any]) -> Observation:
    """The observation of a scope or a Starlette request; outside ``Observed`` one that nobody reads."""
    found = connection.get(KEY)
    return found if isinstance(found, Observation) else Observation()


class Observed:
    """ASGI middleware: gives each request its id and its Observation, then writes one log line and counts it.

    An ``X-Request-ID`` of at most 128 characters of ``[A-Za-z0-9._-]`` is taken over, any other replaced; the answer
    carries it. Client address and scheme in the scope are those that trusted proxies report. The log line never holds
    a path, a query, a cookie or a credential.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, proxies: TrustedProxies) -> None:
        self._app = app
        self._metrics = metrics
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        observation = Observation()
        asked = headers.get("x-request-id", "")
        if _REQUEST_ID.fullmatch(asked):
            observation.request_id = asked
        scope = self._proxies.seen_through({**scope, KEY: observation})
        token = request_id.set(observation.request_id)
        is_head = scope["method"] == "HEAD"

        async def counted_receive() -> Message:
            message = await receive()
            observation.received += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                observation.status = message["status"]
                identity = (b"x-request-id", observation.request_id.encode("ascii"))
                message = {**message, "headers": [*message.get("headers", ()), identity]}
                await send(message)
                return
            await send(message)
            if not is_head:
                observation.sent += len(message.get("body", b""))

        began = time.perf_counter()
        self._metrics.began()
        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            took = timedelta(seconds=time.perf_counter() - began)
            self._metrics.ended(
                route=observation.route,
                method=scope["method"],
                status=observation.status or _NO_ANSWER,
                took=took,
                received=observation.received,
                sent=observation.sent,
                error=observation.error,
            )
            _log(scope, headers, observation, took)
            request_id.reset(token)


def _log(scope: Scope, headers: Headers, observation: Observation, took: timedelta) -> None:
    status = observation.status or _NO_ANSWER
    level = logging.DEBUG if observation.quiet and status < 400 else logging.INFO  # ruff: ignore[magic-value-comparison]  success
    if not _access.isEnabledFor(level):
        return
    client = scope.get("client")
    _access.log(
        level,
        "request",
        extra={
            "request_id": observation.request_id,
            "method": scope["method"],
            "route": observation.route,
            "status": status,
            "code": observation.code,
            "principal": None if observation.principal is None else observation.principal.name,
            "repository": observation.repository,
            "bytes_in": observation.received,
            "bytes_out": observation.sent,
            "duration_ms": round(took / timedelta(milliseconds=1), 3),
            "remote": client[0] if client else None,
            "user_agent": headers.get("user-agent"),
        },
    )
