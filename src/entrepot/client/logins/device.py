"""Logging in through a browser that is somewhere else (RFC 8628), at registries that offer it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from entrepot.client.credentials import IdentityToken
from entrepot.client.errors import LoginRequired, LyingRegistry, NotFound, RegistryRefused, UnsupportedHere, printable
from entrepot.client.origins import Origin
from entrepot.client.transport import Body, Request, Transport
from entrepot.client.transport.tokens import CLIENT_ID
from entrepot.secrets import Secret

_BEGIN: Final = "/auth/device"
_TOKEN: Final = "/token"  # ruff: ignore[hardcoded-password-string]  a path
_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_FORM: Final = "application/x-www-form-urlencoded"
_ANSWER_BYTES_AT_MOST: Final = 64 * 1024
_SECONDS_AT_MOST: Final = 1800.0
_INTERVAL: Final = 5.0  # seconds, where the registry says nothing (section 3.2)
_INTERVAL_AT_MOST: Final = 60.0
_SLOWER: Final = 5.0  # seconds more for each slow_down (section 3.5)


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What somebody has to do in a browser."""

    address: str
    code: str
    seconds: float
    """How long it is waited for."""


async def log_in_by_device(transport: Transport, origin: Origin, show: Callable[[DeviceCode], None]) -> IdentityToken:
    """Begin a login, ``show`` what is to be done, and wait for the identity token.

    Raises UnsupportedHere where a registry has no such login, LoginRequired if it was declined or took too long.
    """
    begun = await _begun(transport, origin)
    address = str(begun.get("verification_uri_complete") or begun.get("verification_uri") or "")
    if urlsplit(address).scheme not in {"http", "https"}:
        raise _lie(origin, "it does not say where to log in")
    seconds = min(_number(begun.get("expires_in"), _SECONDS_AT_MOST), _SECONDS_AT_MOST)
    show(DeviceCode(printable(address), printable(str(begun.get("user_code", ""))), seconds))
    try:
        async with asyncio.timeout(seconds):
            return await _awaited(transport, origin, begun)
    except TimeoutError as error:
        raise _declined(origin, "nobody logged in in time") from error


async def _begun(transport: Transport, origin: Origin) -> dict[str, Any]:
    try:
        status, document = await _posted(transport, origin, _BEGIN, {})
    except (NotFound, RegistryRefused) as error:
        raise UnsupportedHere(
            origin.registry,
            reason="sso",
            cause="the registry offers no login through a browser",
            evidence=error.evidence,
            next_command=f"entrepot login {origin.registry} --username NAME --password-stdin",
        ) from error
    if status != HTTPStatus.OK or not isinstance(document.get("device_code"), str):
        raise _lie(origin, "it gave no code for the login")
    return document


async def _awaited(transport: Transport, origin: Origin, begun: dict[str, Any]) -> IdentityToken:
    """Ask again and again whether the login is complete."""
    interval = min(_number(begun.get("interval"), _INTERVAL), _INTERVAL_AT_MOST)
    form = {
        "grant_type": _GRANT,
        "device_code": begun["device_code"],
        "client_id": CLIENT_ID,
        "access_type": "offline",
    }
    while True:
        await asyncio.sleep(interval)
        status, document = await _posted(transport, origin, _TOKEN, form)
        if status == HTTPStatus.OK:
            token = document.get("refresh_token")
            if not isinstance(token, str) or not token:
                raise _lie(origin, "it gave no token to keep")
            return IdentityToken(Secret(token), "--sso")
        error = document.get("error")
        if error == "slow_down":
            interval = min(interval + _SLOWER, _INTERVAL_AT_MOST)
        elif error != "authorization_pending":
            raise _declined(origin, printable(str(document.get("error_description") or error)))


async def _posted(transport: Transport, origin: Origin, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    request = Request(
        method="POST",
        origin=origin,
        target=path,
        subject=origin.registry,
        expected=frozenset({200, 400}) if form else frozenset({200}),
        body=Body.of(urlencode(form).encode(), _FORM),
        is_anonymous=True,
    )
    async with transport.send(request) as answer:
        content = await answer.read(_ANSWER_BYTES_AT_MOST)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _lie(origin, "this is no answer to a login")
    return answer.status, document


def _number(value: Any, default: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return float(value) if is_number else default


def _lie(origin: Origin, cause: str) -> LyingRegistry:
    return LyingRegistry(origin.registry, reason="device", cause=cause)


def _declined(origin: Origin, cause: str) -> LoginRequired:
    return LoginRequired(
        origin.registry, reason="declined", cause=cause, next_command=f"entrepot login {origin.registry} --sso"
    )
