"""``/groups``: many accounts at once."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from entrepot.access import NameUnknownHere
from entrepot.access.administration import ById
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import ByName, Description, Given, Id, IfMatch, Name, etag_of, version_of
from entrepot.http.management.pages import Page, Paged
from entrepot.metadata import GroupRow

router = APIRouter(prefix="/groups", tags=["groups"])


class Group(BaseModel):
    """A group, and how many are in it."""

    id: str
    name: str
    description: str
    members: int


class NewGroup(Given):
    """A group to be made, under the name that a provider uses if logins are to fill it."""

    name: Name
    description: Description = ""


class ChangedGroup(Given):
    """What is to be changed."""

    description: Description


class Member(BaseModel):
    """An account that is in a group: put there by somebody (``manual``), or by each ``login``."""

    name: str
    source: Literal["manual", "login"]


class NewMember(Given):
    """The name of the account."""

    name: Name


@router.get("")
async def list_groups(who: Who, parts: Parts, paging: Paged, name: ByName = None) -> Page[Group]:
    """List groups by name."""
    if name is not None:
        return await _named(who, parts, name)
    found = await parts.administration.groups.page(who, paging.after, paging.one_more)
    return paging.page([_group(one) for one in found], [one.name for one in found])


@router.post("", status_code=201)
async def create_group(given: NewGroup, who: Who, parts: Parts, response: Response) -> Group:
    """Make a group."""
    made = await parts.administration.groups.add(who, given.name, given.description)
    response.headers.update(etag_of(made.version))
    return _group(made)


@router.get("/{group_id}")
async def get_group(group_id: Id, who: Who, parts: Parts, response: Response) -> Group:
    """Show a group."""
    found = await parts.administration.groups.find(who, ById(group_id))
    response.headers.update(etag_of(found.version))
    return _group(found)


@router.patch("/{group_id}")
async def change_group(
    group_id: Id, given: ChangedGroup, who: Who, parts: Parts, response: Response, if_match: IfMatch = None
) -> Group:
    """Say what a group is for."""
    groups = parts.administration.groups
    found = await groups.describe(who, ById(group_id), given.description, version=version_of(if_match))
    response.headers.update(etag_of(found.version))
    return _group(found)


@router.delete("/{group_id}", status_code=204)
async def delete_group(group_id: Id, who: Who, parts: Parts) -> None:
    """Take a group away with its bindings."""
    await parts.administration.groups.remove(who, ById(group_id))


@router.get("/{group_id}/members")
async def list_members(group_id: Id, who: Who, parts: Parts, paging: Paged) -> Page[Member]:
    """List who is in a group, by name."""
    found = await parts.administration.groups.members(who, ById(group_id), paging.after, paging.one_more)
    members = [Member.model_validate({"name": name, "source": source}) for name, source in found]
    return paging.page(members, [one.name for one in members])


@router.post("/{group_id}/members", status_code=204)
async def add_member(group_id: Id, given: NewMember, who: Who, parts: Parts) -> None:
    """Put an account into a group, where no login takes it out."""
    await parts.administration.groups.add_member(who, ById(group_id), given.name)


@router.delete("/{group_id}/members/{account_id}", status_code=204)
async def remove_member(group_id: Id, account_id: Id, who: Who, parts: Parts) -> None:
    """Take an account out of a group."""
    await parts.administration.groups.remove_member(who, ById(group_id), ById(account_id))


async def _named(who: Who, parts: Parts, name: str) -> Page[Group]:
    try:
        return Page(items=[_group(await parts.administration.groups.find(who, name))], next=None)
    except NameUnknownHere:
        return Page(items=[], next=None)


def _group(row: GroupRow) -> Group:
    return Group(id=row.uid, name=row.name, description=row.description, members=row.members)
