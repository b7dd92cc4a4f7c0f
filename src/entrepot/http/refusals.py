"""Which refusals of requests are remembered, and what of them."""

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.access import Refused, Trail, claimed_name
from entrepot.http.observation import Observation, observation_of
from entrepot.http.proxies import address_of
from entrepot.oci import Denied, TooManyRequests, Unauthorized

_ORDINARY = frozenset({"anonymous", "insufficient-scope"})
"""Reasons that every client meets on its way to the right credentials."""


class RememberedRefusals:
    """ASGI middleware that has refusals recorded once they are answered."""

    def __init__(self, app: ASGIApp, trail: Trail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                _remember(self._trail, scope, observation_of(scope))


def _remember(trail: Trail, scope: Scope, observation: Observation) -> None:
    """Note that a request lacked credentials that hold, or a right, or guessed too often; nothing of any other."""
    error = observation.error
    if not isinstance(error, (Denied, Unauthorized, TooManyRequests)):
        return
    reason = error.detail.get("reason")
    if reason in _ORDINARY or (isinstance(error, TooManyRequests) and reason != "logins"):
        return
    detail = {name: str(value) for name, value in error.detail.items() if name in {"reason", "scope"} and value}
    principal = observation.principal
    trail.refused(
        Refused(
            principal=None if principal is None else principal.actor,
            claimed="" if principal is not None else observation.claimed or claimed_name(_authorization(scope)),
            address=address_of(HTTPConnection(scope)),
            action=f"{scope['method']} {observation.route}",
            repository=observation.repository or "",
            detail=detail,
        )
    )


def _authorization(scope: Scope) -> str | None:
    return Headers(scope=scope).get("authorization")
