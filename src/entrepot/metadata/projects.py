"""Projects: prefixes of repositories' names."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, true, update

from entrepot.metadata.access_tables import bindings
from entrepot.metadata.tables import EVERY_PROJECT, projects, repositories
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.versions import move_access_version
from entrepot.oci import RepositoryName, Unavailable

_TRIES = 5


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project; ``name`` is a prefix that ends in a slash, or ``*`` for what no other has."""

    id: int
    uid: str
    name: str


def project_uids(tx: Transaction) -> dict[str, str]:
    """The uids of all projects by their names."""
    return {row.name: row.uid for row in tx.execute(select(projects.c.name, projects.c.uid))}


def find_project_of(tx: Transaction, name: RepositoryName) -> ProjectRow:
    """The project to which a repository of that name belongs, whether or not it exists: the longest prefix has it."""
    row = tx.execute(
        select(projects.c.id, projects.c.uid, projects.c.name)
        .where(or_(projects.c.name.in_(prefixes_of(name)), projects.c.id == EVERY_PROJECT))
        .order_by((projects.c.id == EVERY_PROJECT).asc(), func.length(projects.c.name).desc())
        .limit(1)
    ).one()
    return ProjectRow(row.id, row.uid, row.name)


def find_project(tx: Transaction, name: str, *, lock: bool = False) -> ProjectRow | None:
    """The project of exactly that name; ``lock`` keeps repositories from being made in it until commit."""
    statement = select(projects.c.id, projects.c.uid, projects.c.name).where(projects.c.name == name)
    row = tx.execute(tx.dialect.for_update(statement) if lock else statement).one_or_none()
    return None if row is None else ProjectRow(row.id, row.uid, row.name)


@dataclass(frozen=True, slots=True)
class ListedProject:
    """A project as lists show it."""

    uid: str
    name: str
    description: str
    created_at: datetime
    version: int


_LISTED = select(projects.c.uid, projects.c.name, projects.c.description, projects.c.created_at, projects.c.version)


def list_projects(tx: Transaction, after: str, at_most: int) -> list[ListedProject]:
    """Up to ``at_most`` projects with names after ``after``, in byte order."""
    chosen = _LISTED.where(projects.c.name > after).order_by(projects.c.name).limit(at_most)
    return list(starmap(ListedProject, tx.execute(chosen)))


def listed_project(tx: Transaction, *, name: str | None = None, uid: str | None = None) -> ListedProject | None:
    """The project of that name, or with that opaque id."""
    row = tx.execute(_LISTED.where(projects.c.uid == uid if name is None else projects.c.name == name)).one_or_none()
    return None if row is None else ListedProject(*row)


def describe_project(tx: Transaction, uid: str, description: str) -> None:
    """Say what a project is for."""
    changed = {"description": description, "version": projects.c.version + 1}
    tx.execute(update(projects).where(projects.c.uid == uid).values(changed))


def repositories_beneath(tx: Transaction, project_id: int, prefix: str, at_most: int) -> list[str]:
    """Up to ``at_most`` repositories of the project whose names begin with ``prefix``."""
    rows = tx.execute(
        select(repositories.c.name)
        .where(repositories.c.project_id == project_id, _begins_with(prefix))
        .order_by(repositories.c.name)
        .limit(at_most)
    )
    return list(rows.scalars())


def add_project(tx: Transaction, name: str, description: str) -> ProjectRow | None:
    """Make a project; None if there is one of that name."""
    uid = secrets.token_hex(16)
    made = tx.execute(
        tx.dialect.insert(projects)
        .values(uid=uid, name=name, description=description, created_at=tx.now)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(projects.c.id)
    ).scalar_one_or_none()
    if made is None:
        return None
    move_access_version(tx)
    return ProjectRow(int(made), uid, name)


def move_repositories(tx: Transaction, source_id: int, target_id: int, prefix: str) -> int:
    """Give the repositories of one project whose names begin with ``prefix`` to another; returns how many."""
    moved = tx.execute(
        update(repositories)
        .where(repositories.c.project_id == source_id, _begins_with(prefix))
        .values(project_id=target_id)
    )
    move_access_version(tx)
    return moved.rowcount


def remove_project(tx: Transaction, project_id: int) -> None:
    """Take a project away with its bindings; raises ForeignKeyViolation while it has repositories or robots."""
    tx.execute(delete(bindings).where(bindings.c.project_id == project_id))
    tx.execute(delete(projects).where(projects.c.id == project_id))
    move_access_version(tx)


def _begins_with(prefix: str) -> ColumnElement[bool]:
    """As a range of the index: names compare by bytes, and ``0`` is what comes after ``/``."""
    if not prefix:
        return true()
    return and_(repositories.c.name >= prefix, repositories.c.name < prefix[:-1] + "0")


def hold_project_of(tx: Transaction, name: RepositoryName) -> ProjectRow:
    """The same, held until commit: whoever divides it waits, so that the repository is seen there.

    Raises Unavailable if projects change again and again meanwhile.
    """
    for _ in range(_TRIES):
        found = find_project_of(tx, name)
        tx.execute(tx.dialect.key_share(select(projects.c.id).where(projects.c.id == found.id))).all()
        if find_project_of(tx, name) == found:
            return found
    raise Unavailable(reason="conflict")


def prefixes_of(name: RepositoryName) -> list[str]:
    """The names of projects that may have this repository, shortest first: ``a/``, ``a/b/`` for ``a/b/c``."""
    segments = name.text.split("/")
    return ["/".join(segments[:length]) + "/" for length in range(1, len(segments))]
