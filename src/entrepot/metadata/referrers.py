"""Referrers: the manifests of a repository that name a subject (distribution spec, "Listing Referrers")."""

import json
from collections.abc import Mapping
from typing import TypeAlias

from sqlalchemy import Select, delete, func, insert, select

from entrepot.metadata.tables import fallback_referrers, manifests
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Descriptor, Digest, ReferrersTag, Tag

_Lengths: TypeAlias = tuple[Digest, int]
_LENGTHS = (manifests.c.digest, func.length(manifests.c.annotations).label("characters"))
_COLUMNS = (
    manifests.c.digest,
    manifests.c.media_type,
    manifests.c.size,
    manifests.c.artifact_type,
    manifests.c.annotations,
)


def list_referrers(
    tx: Transaction,
    repository_id: int,
    subject: Digest,
    artifact_type: str | None,
    last: Digest | None,
    at_most: int,
    characters_at_most: int,
) -> tuple[list[Descriptor], bool]:
    """Up to ``at_most`` referrers after ``last`` in the order of digests, of one artifact type if given.

    Also says whether there are more. The list ends earlier where annotations together would pass
    ``characters_at_most``, but never before its first entry.
    """
    lengths: dict[Digest, int] = {}
    for statement in (_named(repository_id, subject), _listed(repository_id, subject)):
        narrowed = statement.order_by(manifests.c.digest).limit(at_most + 1)
        if artifact_type is not None:
            narrowed = narrowed.where(manifests.c.artifact_type == artifact_type)
        if last is not None:
            narrowed = narrowed.where(manifests.c.digest > last)
        lengths.update((row.digest, row.characters) for row in tx.execute(narrowed))
    wanted = _fitting(lengths, at_most, characters_at_most)
    rows = tx.execute(
        select(*_COLUMNS)
        .where(manifests.c.repository_id == repository_id, manifests.c.digest.in_(wanted))
        .order_by(manifests.c.digest)
    )
    found = [
        Descriptor(
            media_type=row.media_type,
            digest=row.digest,
            size=row.size,
            annotations=json.loads(row.annotations),
            artifact_type=row.artifact_type,
        )
        for row in rows
    ]
    return found, len(wanted) < len(lengths)


def set_fallback_referrers(tx: Transaction, repository_id: int, tag: Tag, digests: set[Digest]) -> None:
    """Replace what a referrers fallback tag lists."""
    tx.execute(
        delete(fallback_referrers).where(
            fallback_referrers.c.repository_id == repository_id, fallback_referrers.c.tag == tag.text
        )
    )
    if digests:
        tx.execute(
            insert(fallback_referrers),
            [{"repository_id": repository_id, "tag": tag.text, "digest": digest} for digest in sorted(digests)],
        )


def _fitting(lengths: Mapping[Digest, int], at_most: int, characters_at_most: int) -> list[Digest]:
    """The first digests, in order, whose annotations may be held in memory at once."""
    fitting: list[Digest] = []
    room = characters_at_most
    for digest in sorted(lengths)[:at_most]:
        room -= lengths[digest]
        if fitting and room < 0:
            break
        fitting.append(digest)
    return fitting


def _named(repository_id: int, subject: Digest) -> Select[_Lengths]:
    """Manifests that name the subject themselves, and how long their annotations are."""
    return select(*_LENGTHS).where(
        manifests.c.repository_id == repository_id, manifests.c.subject == subject, manifests.c.hidden_at.is_(None)
    )


def _listed(repository_id: int, subject: Digest) -> Select[_Lengths]:
    """Manifests that a fallback tag lists for the subject, likewise."""
    return (
        select(*_LENGTHS)
        .join(
            fallback_referrers,
            (fallback_referrers.c.repository_id == manifests.c.repository_id)
            & (fallback_referrers.c.digest == manifests.c.digest),
        )
        .where(
            fallback_referrers.c.repository_id == repository_id,
            fallback_referrers.c.tag == ReferrersTag.of(subject).tag.text,
            manifests.c.hidden_at.is_(None),
        )
    )
