"""Pulls, counted per day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import NamedTuple

from sqlalchemy import bindparam, case, delete, select

from entrepot.metadata.tables import pull_counts, repositories
from entrepot.metadata.transaction import Transaction
from entrepot.oci import Digest


@dataclass(frozen=True, slots=True)
class Pulled:
    """What was pulled: a manifest of a repository, under a tag or (``""``) by its digest."""

    repository_id: int
    digest: Digest
    tag: str


class PullCount(NamedTuple):
    """Which pulls are counted together."""

    repository_id: int
    digest: Digest
    tag: str
    day: datetime


_REMOVE = delete(pull_counts).where(
    *(column == bindparam(f"p_{column.name}", type_=column.type) for column in pull_counts.primary_key)
)


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


def find_old_pulls(tx: Transaction, before: datetime, at_most: int) -> list[PullCount]:
    """Up to ``at_most`` counts whose last pull was before that instant; looks through all of them."""
    key = list(pull_counts.primary_key)
    rows = tx.execute(select(*key).where(pull_counts.c.last_at < before).limit(at_most))
    return list(starmap(PullCount, rows))


def remove_pulls(tx: Transaction, counts: Sequence[PullCount]) -> None:
    """Forget these counts; there is one at least."""
    names = [f"p_{column.name}" for column in pull_counts.primary_key]
    tx.execute(_REMOVE, [dict(zip(names, count, strict=True)) for count in counts])


def _row(pulled: Pulled, count: int, today: datetime, now: datetime) -> dict[str, int | str | Digest | datetime]:
    return {
        "repository_id": pulled.repository_id,
        "digest": pulled.digest,
        "tag": pulled.tag,
        "bucket": today,
        "pulls": count,
        "last_at": now,
    }
