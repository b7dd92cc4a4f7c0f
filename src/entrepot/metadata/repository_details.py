"""What repositories hold, for people who look after them: pages of repositories, tags and manifests."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import Any

from sqlalchemy import Row, exists, func, select, update

from entrepot.metadata.tables import manifests, projects, repositories, tags
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.versions import move_access_version
from entrepot.oci import Digest, RepositoryName

TAGS_AT_MOST = 100  # of one manifest that are named with it


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    """A repository that is not being deleted."""

    id: int
    name: str
    project: str
    kind: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag and the manifest on which it stands; sizes in bytes, ``version`` counts its moves."""

    name: str
    digest: Digest
    media_type: str
    artifact_type: str | None
    total_size: int
    version: int
    created_at: datetime
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A manifest; ``size`` in bytes is its own, ``total_size`` with all that it names, ``tags`` up to a hundred."""

    digest: Digest
    media_type: str
    artifact_type: str | None
    subject: Digest | None
    annotations: dict[str, str]
    size: int
    total_size: int
    pushed_at: datetime
    pushed_by: str
    tags: list[str]


_REPOSITORY = (
    select(
        repositories.c.id,
        repositories.c.name,
        projects.c.name,
        repositories.c.kind,
        repositories.c.created_at,
        repositories.c.created_by_name,
    )
    .join(projects, projects.c.id == repositories.c.project_id)
    .where(repositories.c.state == "active")
)
_MANIFEST = select(
    manifests.c.id,
    manifests.c.digest,
    manifests.c.media_type,
    manifests.c.artifact_type,
    manifests.c.subject,
    manifests.c.annotations,
    manifests.c.size,
    manifests.c.total_size,
    manifests.c.pushed_at,
    manifests.c.pushed_by_name.label("pushed_by"),
).where(manifests.c.hidden_at.is_(None))


def repository_row(tx: Transaction, name: RepositoryName) -> RepositoryRow | None:
    """The repository of that name."""
    row = tx.execute(_REPOSITORY.where(repositories.c.name == name.text)).one_or_none()
    return None if row is None else RepositoryRow(*row)


def rename_repository(tx: Transaction, repository_id: int, name: RepositoryName, project_id: int) -> bool:
    """Give a repository another name, in the project that has it; False if the name is taken."""
    if tx.execute(exists().where(repositories.c.name == name.text).select()).scalar_one():
        return False
    changed = update(repositories).where(repositories.c.id == repository_id)
    tx.execute(changed.values(name=name.text, project_id=project_id))
    move_access_version(tx)
    return True


def tag_page(tx: Transaction, repository_id: int, after: str, at_most: int) -> list[TagRow]:
    """Up to ``at_most`` tags with names after ``after``, in byte order."""
    rows = tx.execute(
        select(
            tags.c.name,
            manifests.c.digest,
            manifests.c.media_type,
            manifests.c.artifact_type,
            manifests.c.total_size,
            tags.c.version,
            tags.c.created_at,
            tags.c.moved_at,
        )
        .join(manifests, manifests.c.id == tags.c.manifest_id)
        .where(tags.c.repository_id == repository_id, tags.c.name > after)
        .order_by(tags.c.name)
        .limit(at_most)
    )
    return list(starmap(TagRow, rows))


def manifest_page(tx: Transaction, repository_id: int, after: Digest | None, at_most: int) -> list[ManifestRow]:
    """Up to ``at_most`` manifests with digests after ``after``, in their order."""
    chosen = _MANIFEST.where(manifests.c.repository_id == repository_id)
    if after is not None:
        chosen = chosen.where(manifests.c.digest > after)
    return _manifests(tx, repository_id, tx.execute(chosen.order_by(manifests.c.digest).limit(at_most)).all())


def manifest_row(tx: Transaction, repository_id: int, digest: Digest) -> ManifestRow | None:
    """The manifest of that digest."""
    chosen = _MANIFEST.where(manifests.c.repository_id == repository_id, manifests.c.digest == digest)
    return next(iter(_manifests(tx, repository_id, tx.execute(chosen).all())), None)


def _manifests(tx: Transaction, repository_id: int, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[ManifestRow]:
    names = _names_of(tx, repository_id, [row.id for row in rows])
    found = []
    for row in rows:
        fields = row._asdict()
        number, annotations = fields.pop("id"), json.loads(fields.pop("annotations"))
        found.append(ManifestRow(**fields, annotations=annotations, tags=names[number]))
    return found


def _names_of(tx: Transaction, repository_id: int, numbers: Sequence[int]) -> dict[int, list[str]]:
    """The first tags on each of these manifests, in byte order."""
    place = func.row_number().over(partition_by=tags.c.manifest_id, order_by=tags.c.name).label("place")
    on_them = tags.c.repository_id == repository_id, tags.c.manifest_id.in_(numbers)
    placed = select(tags.c.manifest_id, tags.c.name, place).where(*on_them).subquery()
    first = select(placed.c.manifest_id, placed.c.name).where(placed.c.place <= TAGS_AT_MOST)
    found: dict[int, list[str]] = defaultdict(list)
    for number, name in tx.execute(first.order_by(placed.c.manifest_id, placed.c.name)):
        found[number].append(name)
    return found
