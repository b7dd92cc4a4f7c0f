"""``/bindings``: who has which role on which repositories."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, model_validator

from entrepot.access import RepositoryPattern
from entrepot.access.administration import BindingSubject, SubjectKind
from entrepot.http.management.callers import Who
from entrepot.http.management.context import Parts
from entrepot.http.management.fields import ByName, Given, Id, Name
from entrepot.http.management.pages import Page, Paged
from entrepot.metadata import BindingRow

router = APIRouter(prefix="/bindings", tags=["bindings"])


class Subject(BaseModel):
    """For whom: an ``account`` or a ``group`` by name, whoever is ``authenticated``, or ``anonymous``: everybody."""

    kind: SubjectKind
    name: str | None


class NewSubject(Given):
    """Likewise, for a binding to be made."""

    kind: SubjectKind
    name: Name | None = None

    @model_validator(mode="after")
    def _has_a_name_where_it_needs_one(self) -> Self:
        if (self.name is not None) != (self.kind in {SubjectKind.ACCOUNT, SubjectKind.GROUP}):
            message = "an account and a group have a name, everyone has none"
            raise ValueError(message)
        return self


class Binding(BaseModel):
    """A role on the repositories of a pattern in a project; ``inherited`` counts in the projects beneath, too."""

    id: str
    subject: Subject
    role: str
    repositories: str
    project: str
    inherited: bool
    created_at: datetime
    created_by: str


class NewBinding(Given):
    """A binding to be made; without ``project`` in the one that has names such as ``repositories`` begins with."""

    subject: NewSubject
    role: Name
    repositories: Name
    project: Name | None = None
    inherited: bool = False


@router.get("")
async def list_bindings(
    who: Who,
    parts: Parts,
    paging: Paged,
    project: Annotated[ByName, Query(description="Of this project alone.")] = None,
    account: Annotated[ByName, Query(description="Of this user or robot alone.")] = None,
) -> Page[Binding]:
    """List bindings in the order in which they were made; owners see those of their projects."""
    after = int(paging.after or 0)
    found = await parts.administration.bindings.page(who, after, paging.one_more, project=project, account=account)
    return paging.page([_binding(one) for one in found], [str(one.id) for one in found])


@router.post("", status_code=201)
async def create_binding(given: NewBinding, who: Who, parts: Parts) -> Binding:
    """Give a role; the very same binding is made once."""
    pattern = RepositoryPattern.parse(given.repositories)
    subject = BindingSubject(given.subject.kind, given.subject.name or "")
    bindings = parts.administration.bindings
    uid = await bindings.add(who, subject, given.role, pattern, project=given.project, inherited=given.inherited)
    return _binding(await bindings.find(who, uid))


@router.get("/{binding_id}")
async def get_binding(binding_id: Id, who: Who, parts: Parts) -> Binding:
    """Show a binding."""
    return _binding(await parts.administration.bindings.find(who, binding_id))


@router.delete("/{binding_id}", status_code=204)
async def delete_binding(binding_id: Id, who: Who, parts: Parts) -> None:
    """Take a binding away; it counts no more at the next request."""
    await parts.administration.bindings.remove(who, binding_id)


def _binding(row: BindingRow) -> Binding:
    kind, _, name = row.subject.partition(" ")
    return Binding(
        id=row.uid,
        subject=Subject(kind=SubjectKind(kind), name=name or None),
        role=row.role,
        repositories=row.repositories,
        project=row.project,
        inherited=row.inherited,
        created_at=row.created_at,
        created_by=row.created_by,
    )
