"""Referrers: the manifests of a repository that name a subject (distribution spec, "Listing Referrers")."""

import json
from typing import TypeAlias

from sqlalchemy import Select, delete, insert, select

from entrepot.metadata.tables import fallback_referrers, manifests
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Descriptor, Digest, ReferrersTag, Tag

_Columns: TypeAlias = tuple[Digest, str, int, str | None, str]
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
) -> list[Descriptor]:
    """Up to ``at_most`` referrers after ``last`` in the order of digests, of one artifact type if given."""
    found = {}
    for statement in (_named(repository_id, subject), _listed(repository_id, subject)):
        narrowed = statement.order_by(manifests.c.digest).limit(at_most)
        if artifact_type is not None:
            narrowed = narrowed.where(manifests.c.artifact_type == artifact_type)
        if last is not None:
            narrowed = narrowed.where(manifests.c.digest > last)
        for row in tx.execute(narrowed):
            found[row.digest] = Descriptor(
                media_type=row.media_type,
                digest=row.digest,
                size=row.size,
                annotations=json.loads(row.annotations),
                artifact_type=row.artifact_type,
            )
    return [found[digest] for digest in sorted(found)[:at_most]]


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


def _named(repository_id: int, subject: Digest) -> Select[_Columns]:
    """Manifests that name the subject themselves."""
    return select(*_COLUMNS).where(
        manifests.c.repository_id == repository_id, manifests.c.subject == subject, manifests.c.hidden_at.is_(None)
    )


def _listed(repository_id: int, subject: Digest) -> Select[_Columns]:
    """Manifests that a fallback tag lists for the subject."""
    return (
        select(*_COLUMNS)
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
