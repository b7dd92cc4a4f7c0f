"""``/tokens``: personal tokens, which stand for a user's password."""

import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from entrepot.access import limit_of
from entrepot.access.administration import Acting
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import ByName, Given, Id, Lifetime, Name, lifetime_of
from entrepot.metadata import ListedCredential

router = APIRouter(prefix="/tokens", tags=["tokens"])

_SCOPES_AT_MOST = 32
_ACTIONS_AT_MOST = 8
_NAME_CHARACTERS_AT_MOST = 64


class TokenScope(BaseModel):
    """Actions (pull, push, move, delete) on the repositories of a pattern."""

    actions: list[str]
    repositories: str


class NewTokenScope(Given):
    """Likewise, for a token to be made."""

    actions: Annotated[list[Name], Field(min_length=1, max_length=_ACTIONS_AT_MOST)]
    repositories: Name


class Token(BaseModel):
    """A token without its secret; ``scopes`` is what it is narrowed to, null for nothing."""

    id: str
    user: str
    name: str
    scopes: list[TokenScope] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewToken(Given):
    """A token to be made, of the caller if no other ``user`` is named, for ``lifetime`` or until it is revoked."""

    name: Annotated[Name, Field(max_length=_NAME_CHARACTERS_AT_MOST)]
    user: Name | None = None
    lifetime: Lifetime | None = None
    scopes: Annotated[list[NewTokenScope], Field(default_factory=list, max_length=_SCOPES_AT_MOST)]


class IssuedToken(BaseModel):
    """The token, which is shown this once."""

    user: str
    token: str
    created_at: datetime
    expires_at: datetime | None


@router.get("")
async def list_tokens(
    who: Who, parts: Parts, user: Annotated[ByName, Query(description="Whose; the caller's without it.")] = None
) -> list[Token]:
    """List a user's tokens, newest first; there are a hundred at most."""
    whose = _whose(who, user)
    return [_token(whose, one) for one in await parts.administration.tokens.page(who, whose)]


@router.post("", status_code=201)
async def create_token(given: NewToken, who: Who, parts: Parts) -> IssuedToken:
    """Make a token, and show it this once."""
    limits = [limit_of(one.actions, one.repositories) for one in given.scopes]
    lifetime = lifetime_of(given.lifetime)
    issued = await parts.administration.tokens.add(who, _whose(who, given.user), given.name, lifetime, limits)
    return IssuedToken(
        user=issued.name, token=issued.secret.reveal(), created_at=issued.created_at, expires_at=issued.expires_at
    )


@router.get("/{token_id}")
async def get_token(token_id: Id, who: Who, parts: Parts) -> Token:
    """Show a token without its secret."""
    user, found = await parts.administration.tokens.find(who, token_id)
    return _token(user, found)


@router.delete("/{token_id}", status_code=204)
async def revoke_token(token_id: Id, who: Who, parts: Parts) -> None:
    """End a token, at once and everywhere."""
    await parts.administration.tokens.revoke(who, token_id)


def _whose(who: Acting, user: str | None) -> str:
    return who.caller.principal.name if user is None else user


def _token(user: str, credential: ListedCredential) -> Token:
    scopes = None if credential.scopes is None else [TokenScope(**one) for one in json.loads(credential.scopes)]
    return Token(
        id=credential.uid,
        user=user,
        name=credential.name,
        scopes=scopes,
        created_at=credential.created_at,
        expires_at=credential.expires_at,
        revoked_at=credential.revoked_at,
        last_used_at=credential.last_used_at,
    )
