"""Projects: prefixes of repositories' names."""

from dataclasses import dataclass

from sqlalchemy import func, or_, select

from entrepot.metadata.tables import EVERY_PROJECT, projects
from entrepot.metadata.transaction import Transaction
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
