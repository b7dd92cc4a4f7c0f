"""Repositories: the rows that names stand for."""

from sqlalchemy import bindparam, select

from entrepot.metadata.actors import Actor
from entrepot.metadata.projects import hold_project_of
from entrepot.metadata.tables import repositories
from entrepot.metadata.transaction import Transaction
from entrepot.oci import RepositoryName, Unavailable

_FIND = select(repositories.c.id).where(
    repositories.c.name == bindparam("repository_name"), repositories.c.state == "active"
)
_LIST = (
    select(repositories.c.name)
    .where(
        repositories.c.name > bindparam("last"),
        repositories.c.name >= bindparam("first"),
        repositories.c.name < bindparam("end"),
        repositories.c.state == "active",
    )
    .order_by(repositories.c.name)
    .limit(bindparam("at_most"))
)
_LAST_CHARACTER = "\U0010ffff"  # beyond every character of a name


def find_repository(tx: Transaction, name: RepositoryName) -> int | None:
    """The row number of an active repository, or None."""
    return tx.execute(_FIND, {"repository_name": name.text}).scalar_one_or_none()


def lock_repository(tx: Transaction, repository_id: int) -> None:
    """Wait for others that add to the repository, and let further ones wait until commit."""
    tx.execute(tx.dialect.for_update(select(repositories.c.id).where(repositories.c.id == repository_id))).all()


def ensure_repository(tx: Transaction, name: RepositoryName, actor: Actor) -> int:
    """The row number of the repository, made now if it is not there; safe against others that make it too.

    It is made in the project that has the longest name of those that its own begins with. Raises Unavailable while a
    repository of that name is being deleted.
    """
    found = find_repository(tx, name)
    if found is not None:
        return found
    tx.execute(
        tx.dialect.insert(repositories)
        .values(
            project_id=hold_project_of(tx, name).id,
            name=name.text,
            kind="hosted",
            state="active",
            created_at=tx.now,
            **actor.columns("created_by"),
        )
        .on_conflict_do_nothing(index_elements=["name"])
    )
    made = find_repository(tx, name)
    if made is None:
        raise Unavailable(repository=name.text, reason="deleting")
    return made


def list_repositories(tx: Transaction, last: str, at_most: int, prefix: str = "") -> list[RepositoryName]:
    """Up to ``at_most`` names after ``last`` that begin with ``prefix``, in byte order."""
    bounds = {"first": prefix, "end": prefix + _LAST_CHARACTER}
    rows = tx.execute(_LIST, {"last": last, "at_most": at_most, **bounds}).scalars()
    return [RepositoryName(text) for text in rows]
