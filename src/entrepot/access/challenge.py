"""The text of ``WWW-Authenticate`` (RFC 9110 section 11.6.1, RFC 6750 section 3, Docker's token specification)."""

from collections.abc import Sequence
from enum import StrEnum

from entrepot.access.scopes import Scope, render_scopes


class ChallengeError(StrEnum):
    """Why the bearer token of a request was not enough (RFC 6750 section 3.1)."""

    INVALID_TOKEN = "invalid_token"  # ruff: ignore[hardcoded-password-string]  the word of RFC 6750, no secret
    INSUFFICIENT_SCOPE = "insufficient_scope"


def bearer_challenge(
    realm: str, service: str, scopes: Sequence[Scope] = (), error: ChallengeError | None = None
) -> str:
    """Ask for a token from ``realm``, the absolute URL of the token endpoint, that carries ``scopes``.

    Raises ValueError for a value that may not stand in a header field.
    """
    parameters = {"realm": realm, "service": service}
    if scopes:
        parameters["scope"] = render_scopes(scopes)
    if error is not None:
        parameters["error"] = error.value
    return "Bearer " + ",".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def basic_challenge(realm: str) -> str:
    """Ask for a user's name and password (RFC 7617); raises ValueError likewise."""
    return f'Basic realm={_quoted(realm)},charset="UTF-8"'


def _quoted(value: str) -> str:
    """A quoted-string of printable ASCII, so that no value can end the header or begin another parameter."""
    if not value.isascii() or not value.isprintable():
        message = "a challenge takes printable ASCII only"
        raise ValueError(message)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
