"""The answers of the token endpoint."""

from collections.abc import Mapping
from datetime import UTC

from starlette.responses import JSONResponse

from entrepot.access import Issued, render_scopes


def get_answer(issued: Issued) -> JSONResponse:
    """What ``GET /token`` answers (Docker registry v2 authentication, "Token Response Fields")."""
    token = issued.token.token.reveal()
    return _answer(issued, {"token": token, "access_token": token})


def post_answer(issued: Issued, **fields: str) -> JSONResponse:
    """What ``POST /token`` answers (RFC 6749 section 5.1; Docker's OAuth2 page)."""
    content = {"access_token": issued.token.token.reveal(), "token_type": "Bearer"}
    return _answer(issued, {**content, "scope": render_scopes(issued.scopes), **fields})


def _answer(issued: Issued, content: Mapping[str, str]) -> JSONResponse:
    token = issued.token
    answered: dict[str, str | int] = {
        **content,
        "expires_in": int(token.expires_in.total_seconds()),
        "issued_at": token.issued_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if issued.refresh_token is not None:
        answered["refresh_token"] = issued.refresh_token.reveal()
    return JSONResponse(answered, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
