"""Asking a token service (Docker's token specification, "Token Authentication", "OAuth2 Token Authentication")."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlencode

from yarl import URL

from entrepot.client.credentials import AnyCredentials, Credentials, IdentityToken
from entrepot.client.errors import LyingRegistry
from entrepot.client.origins import Origin
from entrepot.client.transport.requests import Body
from entrepot.client.transport.scopes import Scope
from entrepot.secrets import Secret

TOKEN_BYTES_AT_MOST: Final = 1024 * 1024
_LIFETIME: Final = 60  # seconds, where the service says nothing (the specification's default)
_LIFETIME_AT_MOST: Final = 24 * 3600
_RESERVE: Final = 0.2  # of the lifetime, and at most so many seconds: a token must hold until its request arrives
_RESERVE_AT_MOST: Final = 10.0
CLIENT_ID: Final = "entrepot"

Ask: TypeAlias = Callable[[str, URL, dict[str, str], Body | None], Awaitable[bytes]]
"""Send a request to a token service and give its body; raises the client's errors."""


@dataclass(frozen=True, slots=True)
class Service:
    """A token service as a challenge names it."""

    realm: str
    service: str


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and until when it is used (the loop's clock)."""

    value: Secret
    scopes: frozenset[Scope]
    good_until: float
    refresh: Secret | None = None
    """An identity token, if one was asked for and the service gives them."""


def basic(credentials: Credentials) -> str:
    """The value of ``Authorization`` (RFC 7617)."""
    pair = f"{credentials.username}:{credentials.password.reveal()}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


async def fetch_token(
    ask: Ask,
    service: Service,
    scopes: frozenset[Scope],
    credentials: AnyCredentials | None,
    subject: str,
    *,
    is_offline: bool = False,
) -> Token:
    """Ask for a token, with ``is_offline`` for one to get tokens with later, too (Docker's ``offline_token``).

    Raises LyingRegistry for an answer without a token, and what ``ask`` raises.
    """
    wanted = [str(scope) for scope in sorted(scopes, key=str)]
    if isinstance(credentials, IdentityToken):
        form = {"grant_type": "refresh_token", "refresh_token": credentials.token.reveal(), "client_id": CLIENT_ID}
        form |= {"service": service.service} | ({"scope": " ".join(wanted)} if wanted else {})
        body = Body.of(urlencode(form).encode(), "application/x-www-form-urlencoded")
        content = await ask("POST", URL(service.realm, encoded=True), {}, body)
    else:
        query = [("service", service.service)] if service.service else []
        query += [("scope", scope) for scope in wanted]
        query += [("offline_token", "true"), ("client_id", CLIENT_ID)] if is_offline else []
        headers: dict[str, str] = {}
        if isinstance(credentials, Credentials):
            query.append(("account", credentials.username))
            headers["Authorization"] = basic(credentials)
        realm = service.realm
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        content = await ask("GET", URL(url, encoded=True), headers, None)
    return _read(content, scopes, subject)


def _read(content: bytes, scopes: frozenset[Scope], subject: str) -> Token:
    try:
        document = json.loads(content)
        value = document.get("token") or document["access_token"]
        lifetime = document.get("expires_in") or _LIFETIME
        refresh = document.get("refresh_token")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LyingRegistry(subject, reason="token", cause="the token service sent no token") from error
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise LyingRegistry(subject, reason="token", cause="the token service sent a token that cannot be one")
    seconds = min(float(lifetime), _LIFETIME_AT_MOST) if isinstance(lifetime, int | float) else float(_LIFETIME)
    reserve = min(seconds * _RESERVE, _RESERVE_AT_MOST)
    good_until = asyncio.get_running_loop().time() + seconds - reserve
    return Token(Secret(value), scopes, good_until, Secret(refresh) if isinstance(refresh, str) and refresh else None)


def check_realm(origin: Origin, base: URL, realm: str, subject: str) -> None:
    """Refuse a token service to which credentials for this registry must not go.

    It is on the registry's own host, or it has TLS; never plain HTTP for a registry with TLS.
    """
    try:
        url = URL(realm, encoded=True)
        host, scheme, user = url.host, url.scheme, url.user
    except ValueError:
        host, scheme, user = None, "", None
    is_same = host == base.host
    if host is None or user is not None or scheme not in {"http", "https"}:
        reason = "realm"
    elif scheme == "http" and (base.scheme == "https" or not is_same):
        reason = "realm-plain-http"
    else:
        return
    evidence = f"{origin.registry} sends to {realm}"
    raise LyingRegistry(
        subject, reason=reason, cause="credentials are not sent to such a token service", evidence=[evidence]
    )
