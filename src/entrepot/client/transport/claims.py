"""What an access token says about itself, to be shown and nothing else: its signature is the registry's to check."""

import base64
import binascii
import json
from typing import Any

from entrepot.client.transport.tokens import Token


def username_of(token: Token) -> str | None:
    """The account that a JSON Web Token is for: its ``name``, else its subject (RFC 7519 section 4.1.2)."""
    claims = _claims(token)
    found = claims.get("name") or claims.get("sub")
    return found if isinstance(found, str) and found else None


def actions_of(token: Token, repository: str) -> frozenset[str] | None:
    """What it allows on a repository (Docker's token specification, claim ``access``), None if it does not say."""
    access = _claims(token).get("access")
    if not isinstance(access, list):
        return None
    found: set[str] = set()
    for entry in access:
        if isinstance(entry, dict) and (entry.get("type"), entry.get("name")) == ("repository", repository):
            found |= {str(action) for action in entry.get("actions") or ()}
    return frozenset(found)


def _claims(token: Token) -> dict[str, Any]:
    parts = token.value.reveal().split(".")
    if len(parts) != 3:  # ruff: ignore[magic-value-comparison]  header, payload, signature
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
