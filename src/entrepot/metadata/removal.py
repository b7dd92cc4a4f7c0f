"""Taking a whole repository away, in steps that each end in a commit."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, distinct, exists, func, select, tuple_, update

from entrepot.metadata.blobs import bury_objects
from entrepot.metadata.collection import LinkFacts, link_facts
from entrepot.metadata.tables import (
    blobs,
    fallback_referrers,
    manifests,
    pins,
    pull_counts,
    repositories,
    repository_blobs,
    tag_history,
    tags,
)
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.uploads import remove_session, sessions_of
from entrepot.oci import RepositoryName


@dataclass(frozen=True, slots=True)
class RepositoryContent:
    """What a repository holds; sizes in bytes, ``own_size`` of blobs that no other repository has."""

    id: int
    state: str
    tags: int
    manifests: int
    blobs: int
    size: int
    own_size: int


def repository_content(tx: Transaction, name: RepositoryName) -> RepositoryContent | None:
    """What the repository holds, also while it is being deleted; None if there is none."""
    found = tx.execute(
        select(repositories.c.id, repositories.c.state).where(repositories.c.name == name.text)
    ).one_or_none()
    if found is None:
        return None
    others = repository_blobs.alias()
    shared = exists().where(
        others.c.blob_id == repository_blobs.c.blob_id, others.c.repository_id != repository_blobs.c.repository_id
    )
    linked = (
        select(func.count(), func.coalesce(func.sum(blobs.c.size), 0))
        .select_from(repository_blobs)
        .join(blobs, blobs.c.id == repository_blobs.c.blob_id)
        .where(repository_blobs.c.repository_id == found.id)
    )
    count, size = tx.execute(linked).one()
    _, own_size = tx.execute(linked.where(~shared)).one()
    return RepositoryContent(
        found.id,
        found.state,
        tx.execute(select(func.count(distinct(tags.c.name))).where(tags.c.repository_id == found.id)).scalar_one(),
        tx.execute(select(func.count()).where(manifests.c.repository_id == found.id)).scalar_one(),
        int(count),
        int(size),
        int(own_size),
    )


def begin_removal(tx: Transaction, repository_id: int) -> bool:
    """Hide the repository from everybody; nobody can push to it until it is gone. False if it was hidden already."""
    active = repositories.c.id == repository_id, repositories.c.state == "active"
    return tx.execute(update(repositories).where(*active).values(state="deleting")).rowcount == 1


def remove_records_of(tx: Transaction, repository_id: int, at_most: int) -> int:
    """Remove up to ``at_most`` of the repository's tags, or history, fallback lists, pins, pulls; returns how many."""
    for table in (tags, tag_history, fallback_referrers, pins, pull_counts):
        key = list(table.primary_key)
        chosen = select(*key).where(table.c.repository_id == repository_id).order_by(*key).limit(at_most)
        removed = tx.execute(delete(table).where(tuple_(*key).in_(chosen))).rowcount
        if removed:
            return removed
    return 0


def manifests_of(tx: Transaction, repository_id: int, at_most: int) -> list[int]:
    """Up to ``at_most`` of the repository's manifests, locked until commit."""
    chosen = select(manifests.c.id).where(manifests.c.repository_id == repository_id)
    return list(tx.execute(tx.dialect.for_update(chosen.order_by(manifests.c.id).limit(at_most))).scalars())


def links_of(tx: Transaction, repository_id: int, at_most: int) -> list[LinkFacts]:
    """Up to ``at_most`` of the repository's links, locked until commit."""
    chosen = (
        select(repository_blobs.c.repository_id, repository_blobs.c.blob_id)
        .where(repository_blobs.c.repository_id == repository_id)
        .order_by(repository_blobs.c.blob_id)
        .limit(at_most)
    )
    return link_facts(tx, [tuple(row) for row in tx.execute(tx.dialect.for_update(chosen))])


def remove_sessions_of(
    tx: Transaction, repository_id: int, repository: str, late_writer: timedelta, at_most: int
) -> int:
    """Remove up to ``at_most`` of the repository's upload sessions; returns how many.

    Their objects are deleted, late where one may be written to.
    """
    sessions = sessions_of(tx, repository_id, at_most)
    for session in sessions:
        delete_after = tx.now + (late_writer if session.writing else timedelta(0))
        bury_objects(tx, session.objects, delete_after, repository)
        remove_session(tx, session)
    return len(sessions)


def remove_repository(tx: Transaction, repository_id: int) -> None:
    """Delete the row of a repository that holds nothing any more; raises ForeignKeyViolation if it does."""
    tx.execute(delete(repositories).where(repositories.c.id == repository_id))
