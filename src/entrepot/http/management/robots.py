"""``/robots``: accounts of machines."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from entrepot.access import NameUnknownHere, RepositoryPattern
from entrepot.access.administration import ById, IssuedSecret, NewRobot, RobotChange
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import (
    ByName,
    Description,
    Given,
    Id,
    IfMatch,
    Lifetime,
    Name,
    etag_of,
    lifetime_of,
    version_of,
)
from entrepot.http.management.pages import Page, Paged
from entrepot.metadata import ListedAccount

router = APIRouter(prefix="/robots", tags=["robots"])

_PATTERNS_AT_MOST = 32
_CLAIMS_AT_MOST = 16
_OVERLAP_AT_MOST = 30 * 24 * 3600


class Robot(BaseModel):
    """A robot; ``project`` is the one that owns it, ``*`` the system."""

    id: str
    name: str
    project: str
    disabled: bool
    description: str
    created_at: datetime
    expires_at: datetime | None
    last_login_at: datetime | None


class RobotToMake(Given):
    """A robot to be made: a role on patterns of repositories; it exists for ``lifetime`` or for good."""

    name: Name
    role: Name = "reader"
    repositories: Annotated[list[Name], Field(default_factory=list, max_length=_PATTERNS_AT_MOST)]
    project: Name | None = None
    description: Description = ""
    lifetime: Lifetime | None = None


class ChangedRobot(Given):
    """What is to be changed; ``lifetime`` counts from now."""

    disabled: bool | None = None
    description: Description | None = None
    lifetime: Lifetime | None = None


class Rotation(Given):
    """For how many seconds the secret of now stays good beside the new one."""

    overlap: Annotated[int, Field(ge=0, le=_OVERLAP_AT_MOST)] = 24 * 3600


class RobotSecret(BaseModel):
    """The name and the secret to log in with; it is shown this once."""

    name: str
    secret: str
    created_at: datetime
    expires_at: datetime | None


class Trust(BaseModel):
    """Tokens of an issuer that stand for the robot: patterns that all have to fit, by claim."""

    id: str
    issuer: str
    claims: dict[str, str]
    created_at: datetime


class NewTrust(Given):
    """A trust to be made."""

    issuer: Name
    claims: Annotated[dict[Name, Name], Field(min_length=1, max_length=_CLAIMS_AT_MOST)]


class Made(BaseModel):
    """The id of what was made."""

    id: str


@router.get("")
async def list_robots(who: Who, parts: Parts, paging: Paged, name: ByName = None) -> Page[Robot]:
    """List the robots that the caller may look after, by name."""
    if name is not None:
        return await _named(who, parts, name)
    found = await parts.administration.robots.page(who, paging.after, paging.one_more)
    return paging.page([_robot(one) for one in found], [one.name for one in found])


@router.post("", status_code=201)
async def create_robot(given: RobotToMake, who: Who, parts: Parts) -> RobotSecret:
    """Make a robot, and show its secret this once."""
    patterns = tuple(map(RepositoryPattern.parse, given.repositories))
    lifetime = lifetime_of(given.lifetime)
    new = NewRobot(given.name, given.role, patterns, given.project, given.description, lifetime)
    return _secret(await parts.administration.robots.add(who, new))


@router.get("/{robot_id}")
async def get_robot(robot_id: Id, who: Who, parts: Parts, response: Response) -> Robot:
    """Show a robot."""
    found = await parts.administration.robots.find(who, ById(robot_id))
    response.headers.update(etag_of(found.version))
    return _robot(found)


@router.patch("/{robot_id}")
async def change_robot(
    robot_id: Id, given: ChangedRobot, who: Who, parts: Parts, response: Response, if_match: IfMatch = None
) -> Robot:
    """Change a robot; one that is disabled is shut out at once, everywhere."""
    change = RobotChange(given.disabled, given.description, lifetime_of(given.lifetime))
    found = await parts.administration.robots.change(who, ById(robot_id), change, version=version_of(if_match))
    response.headers.update(etag_of(found.version))
    return _robot(found)


@router.delete("/{robot_id}", status_code=204)
async def delete_robot(robot_id: Id, who: Who, parts: Parts) -> None:
    """Take a robot away with its secrets, trusts and bindings."""
    await parts.administration.robots.remove(who, ById(robot_id))


@router.post("/{robot_id}/secrets", status_code=201)
async def rotate_secret(robot_id: Id, given: Rotation, who: Who, parts: Parts) -> RobotSecret:
    """Give a robot a new secret beside the one of now, and show it this once."""
    overlap = timedelta(seconds=given.overlap)
    return _secret(await parts.administration.robots.rotate(who, ById(robot_id), overlap))


@router.get("/{robot_id}/trusts")
async def list_trusts(robot_id: Id, who: Who, parts: Parts) -> list[Trust]:
    """List whom a robot trusts."""
    found = await parts.administration.robots.trusts(who, ById(robot_id))
    return [Trust(id=one.uid, issuer=one.issuer, claims=one.conditions, created_at=one.created_at) for one in found]


@router.post("/{robot_id}/trusts", status_code=201)
async def add_trust(robot_id: Id, given: NewTrust, who: Who, parts: Parts) -> Made:
    """Let tokens of jobs or pods stand for a robot, without a secret."""
    return Made(id=await parts.administration.robots.trust(who, ById(robot_id), given.issuer, given.claims))


@router.delete("/{robot_id}/trusts/{trust_id}", status_code=204)
async def remove_trust(robot_id: Id, trust_id: Id, who: Who, parts: Parts) -> None:
    """Trust these tokens no longer."""
    await parts.administration.robots.distrust(who, ById(robot_id), trust_id)


async def _named(who: Who, parts: Parts, name: str) -> Page[Robot]:
    try:
        return Page(items=[_robot(await parts.administration.robots.find(who, name))], next=None)
    except NameUnknownHere:
        return Page(items=[], next=None)


def _secret(issued: IssuedSecret) -> RobotSecret:
    return RobotSecret(
        name=issued.name,
        secret=issued.secret.reveal(),
        created_at=issued.created_at,
        expires_at=issued.expires_at,
    )


def _robot(account: ListedAccount) -> Robot:
    return Robot(
        id=account.uid,
        name=account.name,
        project=account.project or "*",
        disabled=account.disabled_at is not None,
        description=account.description,
        created_at=account.created_at,
        expires_at=account.expires_at,
        last_login_at=account.last_login_at,
    )
