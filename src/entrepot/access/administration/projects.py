"""Projects: prefixes of names within which rights are given."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import PAGE
from entrepot.access.administration.authority import Authority, require
from entrepot.access.administration.which import ById, Which, check_version
from entrepot.access.errors import NameTaken, NameUnknownHere, NameUnsuitable, ProjectHasContent
from entrepot.access.rights import Action, Resource
from entrepot.access.standing import DEFAULT_PROJECT
from entrepot.metadata import (
    Database,
    ForeignKeyViolation,
    ListedProject,
    ProjectRow,
    Transaction,
    add_project,
    describe_project,
    find_project,
    find_project_of,
    list_projects,
    listed_project,
    move_repositories,
    record_audit,
    remove_project,
    repositories_beneath,
)
from entrepot.oci import NameInvalid, RepositoryName

NAME_CHARACTERS_AT_MOST = 200  # leaves room for the names of repositories in it

_SHOWN = 100  # repositories that a plan names


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What comes into a project when it is made: names of up to a hundred repositories, and whether there are more."""

    parent: str
    repositories: list[str]
    more: bool


@dataclass(frozen=True, slots=True)
class Projects:
    """Make, list and remove projects. All raise Unavailable, StorageFull."""

    database: Database

    async def page(self, by: Authority, after: str = "", at_most: int = PAGE) -> list[ListedProject]:
        """Up to ``at_most`` projects with names after ``after`` that may be administered, in byte order.

        Looks through as many pages of projects as there are.
        """

        def unit(tx: Transaction) -> list[ListedProject]:
            found: list[ListedProject] = []
            last = after
            while len(found) < at_most and (rows := list_projects(tx, last, PAGE)):
                found += [row for row in rows if by.may(tx, Action.ROBOTS, Resource.project(row.name))]
                last = rows[-1].name
            return found[:at_most]

        return await self.database.read(unit)

    async def find(self, by: Authority, which: Which) -> ListedProject:
        """One project, for who looks after its robots or more; raises NameUnknownHere alike for others."""
        return await self.database.read(lambda tx: _seen(tx, by, which))

    async def describe(
        self, by: Authority, which: Which, description: str, *, version: int | None = None
    ) -> ListedProject:
        """Say what a project is for; raises NameUnknownHere, Denied, VersionMismatch."""

        def unit(tx: Transaction) -> ListedProject:
            project = _seen(tx, by, which)
            require(tx, by, Action.PROJECT, Resource.project(project.name))
            check_version(project.version, version)
            describe_project(tx, project.uid, description)
            record_audit(tx, by.actor, "project.describe", "", project.name)
            return _seen(tx, by, which)

        return await self.database.write(unit)

    async def plan(self, by: Authority, name: str) -> MovePlan:
        """Which repositories a project of this name would have; raises NameUnsuitable, Denied."""
        prefix = parse_project_name(name)

        def unit(tx: Transaction) -> MovePlan:
            parent = _parent(tx, prefix)
            require(tx, by, Action.PROJECT, Resource.project(parent.name))
            return _plan(tx, prefix, parent)

        return await self.database.read(unit)

    async def add(self, by: Authority, name: str, description: str = "", *, move: bool = False) -> MovePlan:
        """Make a project, beneath the one that has these names by now.

        Its parent's bindings count in it only where they are inherited: so repositories that are there are taken over
        only with ``move``. Raises ProjectHasContent with their names otherwise, NameUnsuitable, NameTaken, Denied.
        """
        prefix = parse_project_name(name)

        def unit(tx: Transaction) -> MovePlan:
            parent = _parent(tx, prefix, lock=True)
            require(tx, by, Action.PROJECT, Resource.project(parent.name))
            plan = _plan(tx, prefix, parent)
            if plan.repositories and not move:
                raise ProjectHasContent(project=parent.name, repositories=plan.repositories, more=plan.more)
            made = add_project(tx, prefix, description)
            if made is None:
                raise NameTaken(kind="project", name=prefix)
            move_repositories(tx, parent.id, made.id, prefix)
            record_audit(tx, by.actor, "project.add", "", prefix, {"moved": len(plan.repositories)})
            return plan

        return await self.database.write(unit)

    async def remove(self, by: Authority, which: Which) -> None:
        """Take a project away with its bindings; its repositories come back to the one above.

        There they are under that one's bindings, so it takes an owner of that. Raises NameUnknownHere, Denied,
        NameUnsuitable for ``*``, ProjectHasContent while it owns robots.
        """

        def unit(tx: Transaction) -> None:
            prefix = parse_project_name(_seen(tx, by, which).name if isinstance(which, ById) else which)
            project = find_project(tx, prefix, lock=True)
            parent = find_project_of(tx, RepositoryName(prefix[:-1]))
            require(tx, by, Action.PROJECT, Resource.project(parent.name))
            if project is None:
                raise NameUnknownHere(kind="project", name=prefix)
            move_repositories(tx, project.id, parent.id, "")
            remove_project(tx, project.id)
            record_audit(tx, by.actor, "project.remove", "", prefix)

        try:
            await self.database.write(unit)
        except ForeignKeyViolation:
            raise ProjectHasContent(project=str(which), reason="robots") from None


def parse_project_name(name: str) -> str:
    """The prefix that a project is: with its slash, whether that was written or not; raises NameUnsuitable."""
    text = name.removesuffix("/")
    try:
        RepositoryName.parse(text)
    except NameInvalid:
        raise NameUnsuitable(reason="project", name=name) from None
    if len(text) > NAME_CHARACTERS_AT_MOST:
        raise NameUnsuitable(reason="project", name=name, characters_at_most=NAME_CHARACTERS_AT_MOST)
    return f"{text}/"


def project_named(tx: Transaction, name: str) -> ProjectRow:
    """The project of that name, ``*`` too; raises NameUnknownHere, NameUnsuitable."""
    found = find_project(tx, _name(name))
    if found is None:
        raise NameUnknownHere(kind="project", name=name)
    return found


def _seen(tx: Transaction, by: Authority, which: Which) -> ListedProject:
    """The project that is meant, if its robots may be looked after; raises NameUnknownHere."""
    found = listed_project(tx, uid=which.uid) if isinstance(which, ById) else listed_project(tx, name=_name(which))
    if found is None or not by.may(tx, Action.ROBOTS, Resource.project(found.name)):
        raise NameUnknownHere(kind="project", name=str(which))
    return found


def _name(text: str) -> str:
    return text if text == DEFAULT_PROJECT else parse_project_name(text)


def _parent(tx: Transaction, prefix: str, *, lock: bool = False) -> ProjectRow:
    """The project that has the repositories beneath ``prefix`` as long as there is none of that name."""
    parent = find_project_of(tx, RepositoryName(prefix[:-1]))
    return (find_project(tx, parent.name, lock=True) or parent) if lock else parent


def _plan(tx: Transaction, prefix: str, parent: ProjectRow) -> MovePlan:
    found = repositories_beneath(tx, parent.id, prefix, _SHOWN + 1)
    return MovePlan(parent.name, found[:_SHOWN], len(found) > _SHOWN)
