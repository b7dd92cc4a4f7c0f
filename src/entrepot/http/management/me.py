"""``/whoami``: who the caller is, and its own password."""

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

from entrepot.access import Secret
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import Given, Password
from entrepot.http.proxies import address_of
from entrepot.oci import Unauthorized

router = APIRouter(tags=["me"])


class Me(BaseModel):
    """The account that the credentials of the request stand for."""

    kind: str
    id: str
    name: str
    admin: bool
    credential: str | None


class OwnPassword(Given):
    """The password of now and the one to be."""

    current: Password
    password: Password


@router.get("/whoami")
async def whoami(who: Who, parts: Parts) -> Me:
    """Who the caller is; ``credential`` is the id of its token, null for a password."""
    standing = await parts.administration.explain.standing(who)
    principal = standing.principal
    return Me(
        kind=principal.kind.value,
        id=principal.id,
        name=principal.name,
        admin=principal.is_admin,
        credential=who.caller.credential or None,
    )


@router.post("/whoami/password", status_code=204)
async def change_own_password(given: OwnPassword, who: Who, parts: Parts, request: Request) -> None:
    """Change the caller's own password; sessions and refresh tokens of the old one end."""
    current = Secret(given.current.get_secret_value())
    shown = await parts.authenticator.password(who.caller.principal.name, current, address_of(request))
    if shown.principal.id != who.account or shown.credential:
        raise Unauthorized(reason="credentials")
    await parts.administration.users.set_own_password(who, Secret(given.password.get_secret_value()))
