"""Bindings: saying who may do what, and where."""

from dataclasses import dataclass
from enum import StrEnum

from entrepot.access.administration.accounts import PAGE, account_named
from entrepot.access.administration.groups import group_named
from entrepot.access.administration.projects import project_named
from entrepot.access.errors import NameUnknownHere
from entrepot.access.patterns import RepositoryPattern
from entrepot.access.roles import BUILT_IN_ROLES
from entrepot.access.standing import DEFAULT_PROJECT
from entrepot.metadata import (
    Actor,
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
from entrepot.oci import RepositoryName


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
        self, after: int = 0, at_most: int = PAGE, *, project: str | None = None, account: str | None = None
    ) -> list[BindingRow]:
        """Up to ``at_most`` bindings after the row ``after``, of a project or an account; raises NameUnknownHere."""

        def unit(tx: Transaction) -> list[BindingRow]:
            project_id = None if project is None else project_named(tx, project).id
            account_id = None if account is None else account_named(tx, account).id
            return list_bindings(tx, after, at_most, project_id=project_id, account_id=account_id)

        return await self.database.read(unit)

    async def add(
        self,
        actor: Actor,
        subject: BindingSubject,
        role: str,
        repositories: RepositoryPattern,
        *,
        project: str | None = None,
        inherited: bool = False,
    ) -> str:
        """Bind, and return the binding's uid; the very same binding is made once.

        Without ``project`` it is the one that has the names with which the pattern begins. Raises NameUnknownHere.
        """

        def unit(tx: Transaction) -> str:
            uid = bind(tx, actor, subject, role, repositories, project=project, inherited=inherited)
            detail: dict[str, str | int] = {
                "role": role,
                "repositories": repositories.text,
                "inherited": int(inherited),
            }
            record_audit(tx, actor, "binding.add", "", f"{subject.kind} {subject.name}".rstrip(), detail)
            return uid

        return await self.database.write(unit)

    async def remove(self, actor: Actor, uid: str) -> None:
        """Take a binding away; it counts no more at the next request. Raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            found = find_binding(tx, uid)
            if found is None or not remove_binding(tx, uid):
                raise NameUnknownHere(kind="binding", name=uid)
            detail = {"role": found.role, "repositories": found.repositories}
            record_audit(tx, actor, "binding.remove", "", found.subject, detail)

        await self.database.write(unit)


def bind(
    tx: Transaction,
    actor: Actor,
    subject: BindingSubject,
    role: str,
    repositories: RepositoryPattern,
    *,
    project: str | None,
    inherited: bool,
) -> str:
    """Make a binding within a transaction; raises NameUnknownHere."""
    if role not in BUILT_IN_ROLES:
        raise NameUnknownHere(kind="role", name=role, known=list(BUILT_IN_ROLES))
    chosen = _project_of(tx, repositories) if project is None else project_named(tx, project)
    account = account_named(tx, subject.name).id if subject.kind is SubjectKind.ACCOUNT else None
    group = group_named(tx, subject.name) if subject.kind is SubjectKind.GROUP else None
    new = NewBinding(chosen.id, role, repositories.text, inherited, subject.kind.value, account, group)
    return add_binding(tx, new, actor)


def _project_of(tx: Transaction, repositories: RepositoryPattern) -> ProjectRow:
    beginning = repositories.literal.rpartition("/")[0]
    if not beginning:
        return project_named(tx, DEFAULT_PROJECT)
    return find_project_of(tx, RepositoryName(f"{beginning}/x"))
