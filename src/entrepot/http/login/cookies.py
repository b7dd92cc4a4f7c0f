"""The cookies of logins: never for scripts, never with a request that another site began, except for plain links."""

from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import Secret
from entrepot.http.addresses import Addresses

SESSION_COOKIE: Final = "entrepot_session"
"""Holds a session (``ents_…``), for the management API and ``/auth`` alone."""

LOGIN_COOKIE: Final = "entrepot_login"
"""Tells that the browser that comes back from the provider is the one that went there."""


def set_cookie(
    response: Response, request: Request, addresses: Addresses, name: str, value: Secret, lifetime: timedelta
) -> None:
    """Give the browser a cookie for ``lifetime``; it travels over TLS only where the registry is reached so."""
    response.set_cookie(
        name,
        value.reveal(),
        max_age=int(lifetime.total_seconds()),
        path=_path(addresses),
        secure=addresses.is_protected(request),
        httponly=True,
        samesite="lax",
    )


def delete_cookie(response: Response, request: Request, addresses: Addresses, name: str) -> None:
    """Take a cookie away."""
    response.delete_cookie(
        name, path=_path(addresses), secure=addresses.is_protected(request), httponly=True, samesite="lax"
    )


def cookie_of(request: Request, name: str) -> Secret | None:
    """The value of a cookie, None without one."""
    value = request.cookies.get(name)
    return None if not value else Secret(value)


def _path(addresses: Addresses) -> str:
    return f"{addresses.path_prefix}/"
