"""``/roles``: names for sets of actions."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from entrepot.access.administration import Role
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import Given, Name

router = APIRouter(prefix="/roles", tags=["roles"])

_ACTIONS_AT_MOST = 16

RoleName = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[a-z0-9._-]+$")]


class ListedRole(BaseModel):
    """A role and its actions, in order."""

    name: str
    actions: list[str]
    built_in: bool


class NewRole(Given):
    """A role to be made, of the actions that the built-in ones have, too."""

    name: Name
    actions: Annotated[list[Name], Field(min_length=1, max_length=_ACTIONS_AT_MOST)]


@router.get("")
async def list_roles(who: Who, parts: Parts) -> list[ListedRole]:
    """List roles: the built-in ones, each with the rights of those before it, then others by name."""
    return [_listed(one) for one in await parts.administration.roles.all(who)]


@router.post("", status_code=201)
async def create_role(given: NewRole, who: Who, parts: Parts) -> ListedRole:
    """Make a role."""
    return _listed(await parts.administration.roles.add(who, given.name, given.actions))


@router.delete("/{name}", status_code=204)
async def delete_role(name: RoleName, who: Who, parts: Parts) -> None:
    """Take a role away that no binding gives to anybody."""
    await parts.administration.roles.remove(who, name)


def _listed(role: Role) -> ListedRole:
    return ListedRole(name=role.name, actions=sorted(role.actions), built_in=role.is_built_in)
