"""``/keys``: the keys that sign tokens."""

from fastapi import APIRouter
from pydantic import BaseModel

from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts

router = APIRouter(prefix="/keys", tags=["keys"])


class Key(BaseModel):
    """A key by its id, and whether it signs now; the others verify."""

    id: str
    signs: bool


@router.get("")
async def list_keys(who: Who, parts: Parts) -> list[Key]:
    """List the keys whose tokens count, newest first; their public parts are at ``/.well-known/jwks.json``."""
    await parts.administration.explain.standing(who)
    signing = parts.keys.signing.kid
    return [Key(id=key.kid, signs=key.kid == signing) for key in parts.keys.verifying]
