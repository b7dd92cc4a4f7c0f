"""``/users``: people who log in."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel

from entrepot.access import NameUnknownHere, Secret
from entrepot.access.administration import ById, UserChange
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import ByName, Description, Given, Id, IfMatch, Name, Password, etag_of, version_of
from entrepot.http.management.pages import Page, Paged
from entrepot.metadata import ListedAccount

router = APIRouter(prefix="/users", tags=["users"])


class User(BaseModel):
    """A user; ``issuer`` is the provider that vouches for them, null for one with a password of this registry."""

    id: str
    name: str
    admin: bool
    disabled: bool
    description: str
    issuer: str | None
    created_at: datetime
    last_login_at: datetime | None


class NewUser(Given):
    """A user to be made."""

    name: Name
    password: Password
    admin: bool = False


class ChangedUser(Given):
    """What is to be changed."""

    admin: bool | None = None
    disabled: bool | None = None
    description: Description | None = None


class NewPassword(Given):
    """A password to be."""

    password: Password


@router.get("")
async def list_users(who: Who, parts: Parts, paging: Paged, name: ByName = None) -> Page[User]:
    """List users by name."""
    if name is not None:
        return await _named(who, parts, name)
    found = await parts.administration.users.page(who, paging.after, paging.one_more)
    return paging.page([_user(one) for one in found], [one.name for one in found])


@router.post("", status_code=201)
async def create_user(given: NewUser, who: Who, parts: Parts, response: Response) -> User:
    """Make a user, who may do nothing until a binding says so."""
    password = Secret(given.password.get_secret_value())
    made = await parts.administration.users.add(who, given.name, password, is_admin=given.admin)
    response.headers.update(etag_of(made.version))
    return _user(made)


@router.get("/{user_id}")
async def get_user(user_id: Id, who: Who, parts: Parts, response: Response) -> User:
    """Show a user."""
    found = await parts.administration.users.find(who, ById(user_id))
    response.headers.update(etag_of(found.version))
    return _user(found)


@router.patch("/{user_id}")
async def change_user(
    user_id: Id, given: ChangedUser, who: Who, parts: Parts, response: Response, if_match: IfMatch = None
) -> User:
    """Change a user; one that is disabled is shut out at once, everywhere."""
    change = UserChange(given.disabled, given.admin, given.description)
    found = await parts.administration.users.change(who, ById(user_id), change, version=version_of(if_match))
    response.headers.update(etag_of(found.version))
    return _user(found)


@router.post("/{user_id}/password", status_code=204)
async def set_password(user_id: Id, given: NewPassword, who: Who, parts: Parts) -> None:
    """Give a user another password; sessions and refresh tokens of the old one end."""
    await parts.administration.users.set_password(who, ById(user_id), Secret(given.password.get_secret_value()))


@router.delete("/{user_id}", status_code=204)
async def delete_user(user_id: Id, who: Who, parts: Parts) -> None:
    """Take a user away with tokens, memberships and bindings."""
    await parts.administration.users.remove(who, ById(user_id))


async def _named(who: Who, parts: Parts, name: str) -> Page[User]:
    try:
        return Page(items=[_user(await parts.administration.users.find(who, name))], next=None)
    except NameUnknownHere:
        return Page(items=[], next=None)


def _user(account: ListedAccount) -> User:
    return User(
        id=account.uid,
        name=account.name,
        admin=account.is_admin,
        disabled=account.disabled_at is not None,
        description=account.description,
        issuer=account.issuer,
        created_at=account.created_at,
        last_login_at=account.last_login_at,
    )
