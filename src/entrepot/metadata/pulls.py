"""Pulls, counted per day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, select

from entrepot.metadata.tables import pull_counts, repositories
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest


@dataclass(frozen=True, slots=True)
class Pulled:
    """What was pulled: a manifest of a repository, under a tag or (``""``) by its digest."""

    repository_id: int
    digest: Digest
    tag: str


def record_pulls(tx: Transaction, pulls: Mapping[Pulled, int]) -> None:
    """Add so many pulls of each to today's counts; those of repositories that are gone are dropped."""
    today = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
    there = set(
        tx.execute(
            tx.dialect.key_share(
                select(repositories.c.id).where(repositories.c.id.in_({pulled.repository_id for pulled in pulls}))
            )
        ).scalars()
    )
    rows = [_row(pulled, count, today, tx.now) for pulled, count in pulls.items() if pulled.repository_id in there]
    if not rows:
        return
    offer = tx.dialect.insert(pull_counts)
    later = offer.excluded.last_at
    statement = offer.on_conflict_do_update(
        index_elements=["repository_id", "digest", "tag", "bucket"],
        set_={
            "pulls": pull_counts.c.pulls + offer.excluded.pulls,
            "last_at": case((later > pull_counts.c.last_at, later), else_=pull_counts.c.last_at),
        },
    )
    tx.execute(statement, sorted(rows, key=lambda row: (row["repository_id"], str(row["digest"]), row["tag"])))


def _row(pulled: Pulled, count: int, today: datetime, now: datetime) -> dict[str, int | str | Digest | datetime]:
    return {
        "repository_id": pulled.repository_id,
        "digest": pulled.digest,
        "tag": pulled.tag,
        "bucket": today,
        "pulls": count,
        "last_at": now,
    }
