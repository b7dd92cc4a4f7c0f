"""Bindings: saying who may do what, and where."""

from dataclasses import dataclass
from enum import StrEnum

from entrepot.access.administration.accounts import PAGE, account_named
from entrepot.access.administration.authority import Authority, require, require_admin
from entrepot.access.administration.groups import group_named
from entrepot.access.administration.projects import parse_project_name, project_named
from entrepot.access.administration.roles import role_actions
from entrepot.access.errors import NameUnknownHere
from entrepot.access.patterns import RepositoryPattern
from entrepot.access.rights import Action, Resource
from entrepot.access.standing import DEFAULT_PROJECT
from entrepot.metadata import (
    BindingRow,
    Database,
    NewBinding,
    ProjectRow,
    Transaction,
    add_binding,
    find_binding,
    find_project_of,
    list_bindings,
    record_audit,
    remove_binding,
)
from entrepot.oci import Denied, RepositoryName


class SubjectKind(StrEnum):
    """Whom a binding is for."""

    ACCOUNT = "account"
    GROUP = "group"
    AUTHENTICATED = "authenticated"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class BindingSubject:
    """One account or one group by its name, whoever has logged in, or whoever there is."""

    kind: SubjectKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Bindings:
    """Make, list and remove bindings. All raise Unavailable, StorageFull."""

    database: Database

    async def page(
        self,
        by: Authority,
        after: int = 0,
        at_most: int = PAGE,
        *,
        project: str | None = None,
        account: str | None = None,
    ) -> list[BindingRow]:
        """Up to ``at_most`` bindings after the row ``after``, of a project or an account.

        Owners of a project see its bindings, administrators all. Raises NameUnknownHere, Denied.
        """

        def unit(tx: Transaction) -> list[BindingRow]:
            if project is None:
                require_admin(tx, by)
            project_id = None if project is None else _owned(tx, by, project).id
            account_id = None if account is None else account_named(tx, account).id
            return list_bindings(tx, after, at_most, project_id=project_id, account_id=account_id)

        return await self.database.read(unit)

    async def find(self, by: Authority, uid: str) -> BindingRow:
        """One binding, for owners of its project; raises NameUnknownHere alike for others."""
        return await self.database.read(lambda tx: _seen(tx, by, uid))

    async def add(
        self,
        by: Authority,
        subject: BindingSubject,
        role: str,
        repositories: RepositoryPattern,
        *,
        project: str | None = None,
        inherited: bool = False,
    ) -> str:
        """Bind, and return the binding's uid; the very same binding is made once.

        Without ``project`` it is the one that has the names with which the pattern begins. It takes an owner of the
        project, and for what is inherited one that is so itself. Raises NameUnknownHere, Denied.
        """

        def unit(tx: Transaction) -> str:
            chosen = project_of(tx, repositories) if project is None else _owned(tx, by, project)
            require(tx, by, Action.PROJECT, Resource.project(chosen.name))
            _check_reach(tx, by, chosen.name, inherited=inherited)
            uid = bind(tx, by, subject, role, repositories, chosen, inherited=inherited)
            detail: dict[str, str | int] = {
                "role": role,
                "repositories": repositories.text,
                "inherited": int(inherited),
            }
            record_audit(tx, by.actor, "binding.add", "", f"{subject.kind} {subject.name}".rstrip(), detail)
            return uid

        return await self.database.write(unit)

    async def remove(self, by: Authority, uid: str) -> None:
        """Take a binding away; it counts no more at the next request. Raises NameUnknownHere, Denied."""

        def unit(tx: Transaction) -> None:
            found = _seen(tx, by, uid)
            _check_reach(tx, by, found.project, inherited=found.inherited)
            remove_binding(tx, uid)
            detail = {"role": found.role, "repositories": found.repositories}
            record_audit(tx, by.actor, "binding.remove", "", found.subject, detail)

        await self.database.write(unit)


def bind(
    tx: Transaction,
    by: Authority,
    subject: BindingSubject,
    role: str,
    repositories: RepositoryPattern,
    project: ProjectRow,
    *,
    inherited: bool,
) -> str:
    """Make a binding within a transaction that has looked after the right to; raises NameUnknownHere."""
    role_actions(tx, role)
    account = account_named(tx, subject.name).id if subject.kind is SubjectKind.ACCOUNT else None
    group = group_named(tx, subject.name).id if subject.kind is SubjectKind.GROUP else None
    new = NewBinding(project.id, role, repositories.text, inherited, subject.kind.value, account, group)
    return add_binding(tx, new, by.actor)


def _seen(tx: Transaction, by: Authority, uid: str) -> BindingRow:
    found = find_binding(tx, uid)
    if found is None or not by.may(tx, Action.PROJECT, Resource.project(found.project)):
        raise NameUnknownHere(kind="binding", name=uid)
    return found


def project_of(tx: Transaction, repositories: RepositoryPattern) -> ProjectRow:
    """The project that has the names with which a pattern begins."""
    beginning = repositories.literal.rpartition("/")[0]
    if not beginning:
        return project_named(tx, DEFAULT_PROJECT)
    return find_project_of(tx, RepositoryName(f"{beginning}/x"))


def _owned(tx: Transaction, by: Authority, project: str) -> ProjectRow:
    """The project of that name, if ``by`` owns it; raises Denied alike for those that are not there."""
    name = project if project == DEFAULT_PROJECT else parse_project_name(project)
    require(tx, by, Action.PROJECT, Resource.project(name))
    return project_named(tx, name)


def _check_reach(tx: Transaction, by: Authority, project: str, *, inherited: bool) -> None:
    """What counts in the projects beneath takes somebody who owns those, too; raises Denied."""
    if inherited and not by.may_beneath(tx, Action.PROJECT, project):
        raise Denied(scope=f"project:{project}:project", reason="inherited")
