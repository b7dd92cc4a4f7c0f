"""``/projects``: prefixes of names within which rights are given."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel

from entrepot.access import NameUnknownHere, NameUnsuitable
from entrepot.access.administration import ById, MovePlan
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import ByName, Description, Given, Id, IfMatch, Name, etag_of, version_of
from entrepot.http.management.pages import Page, Paged
from entrepot.metadata import ListedProject

router = APIRouter(prefix="/projects", tags=["projects"])


class Project(BaseModel):
    """A project; ``name`` is a prefix that ends in a slash, or ``*`` for what no other has."""

    id: str
    name: str
    description: str
    created_at: datetime


class NewProject(Given):
    """A project to be made; with ``move`` it takes over the repositories that have such names by now."""

    name: Name
    description: Description = ""
    move: bool = False


class PlannedProject(Given):
    """The name of a project that may be made."""

    name: Name


class ChangedProject(Given):
    """What is to be changed."""

    description: Description


class Move(BaseModel):
    """Which repositories come into a project from its parent; a hundred are named, ``more`` says there are others."""

    parent: str
    repositories: list[str]
    more: bool


@router.get("")
async def list_projects(who: Who, parts: Parts, paging: Paged, name: ByName = None) -> Page[Project]:
    """List the projects that the caller may look after, by name."""
    if name is not None:
        return await _named(who, parts, name)
    found = await parts.administration.projects.page(who, paging.after, paging.one_more)
    return paging.page([_project(one) for one in found], [one.name for one in found])


@router.post("", status_code=201)
async def create_project(given: NewProject, who: Who, parts: Parts) -> Move:
    """Make a project, and say what came into it; bindings of its parent count in it only where inherited."""
    return _move(await parts.administration.projects.add(who, given.name, given.description, move=given.move))


@router.post("/plan")
async def plan_project(given: PlannedProject, who: Who, parts: Parts) -> Move:
    """Say what would come into a project of this name, and change nothing."""
    return _move(await parts.administration.projects.plan(who, given.name))


@router.get("/{project_id}")
async def get_project(project_id: Id, who: Who, parts: Parts, response: Response) -> Project:
    """Show a project."""
    found = await parts.administration.projects.find(who, ById(project_id))
    response.headers.update(etag_of(found.version))
    return _project(found)


@router.patch("/{project_id}")
async def change_project(
    project_id: Id, given: ChangedProject, who: Who, parts: Parts, response: Response, if_match: IfMatch = None
) -> Project:
    """Say what a project is for."""
    projects = parts.administration.projects
    found = await projects.describe(who, ById(project_id), given.description, version=version_of(if_match))
    response.headers.update(etag_of(found.version))
    return _project(found)


@router.delete("/{project_id}", status_code=204)
async def delete_project(project_id: Id, who: Who, parts: Parts) -> None:
    """Take a project away with its bindings; its repositories come back to the one above."""
    await parts.administration.projects.remove(who, ById(project_id))


async def _named(who: Who, parts: Parts, name: str) -> Page[Project]:
    try:
        return Page(items=[_project(await parts.administration.projects.find(who, name))], next=None)
    except (NameUnknownHere, NameUnsuitable):
        return Page(items=[], next=None)


def _move(plan: MovePlan) -> Move:
    return Move(parent=plan.parent, repositories=plan.repositories, more=plan.more)


def _project(row: ListedProject) -> Project:
    return Project(id=row.uid, name=row.name, description=row.description, created_at=row.created_at)
