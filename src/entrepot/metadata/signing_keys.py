"""Keys that sign tokens, shared by every process over one database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from entrepot.metadata.access_tables import signing_keys
from entrepot.metadata.tables import versions
from entrepot.metadata.transaction import Transaction


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it lies in the database.

    It signs from ``signs_from`` on, and no more from ``retired_at`` on, when its successor begins; None: as yet there
    is no successor.
    """

    kid: str
    sealed: bytes = field(repr=False)
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None


def list_signing_keys(tx: Transaction) -> list[StoredKey]:
    """Every key, newest first."""
    rows = tx.execute(
        select(
            signing_keys.c.kid,
            signing_keys.c.sealed,
            signing_keys.c.created_at,
            signing_keys.c.signs_from,
            signing_keys.c.retired_at,
        ).order_by(signing_keys.c.signs_from.desc(), signing_keys.c.created_at.desc(), signing_keys.c.kid)
    )
    return [StoredKey(row.kid, bytes(row.sealed), row.created_at, row.signs_from, row.retired_at) for row in rows]


def lock_signing_keys(tx: Transaction) -> None:
    """Let nobody else add keys until commit."""
    tx.execute(tx.dialect.for_update(select(versions.c.id))).all()


def add_first_signing_key(tx: Transaction, kid: str, sealed: bytes) -> None:
    """Store the first key; nothing happens if another process was faster."""
    lock_signing_keys(tx)
    if not list_signing_keys(tx):
        _add(tx, kid, sealed, tx.now)


def add_next_signing_key(tx: Transaction, kid: str, sealed: bytes, overlap: timedelta) -> datetime:
    """Store the key that signs after ``overlap``, when those of now retire; returns when that is.

    ``overlap`` is how long everyone has to hear of the new key. Call it under ``lock_signing_keys``.
    """
    signs_from = tx.now + overlap
    tx.execute(update(signing_keys).where(signing_keys.c.retired_at.is_(None)).values(retired_at=signs_from))
    _add(tx, kid, sealed, signs_from)
    return signs_from


def remove_signing_keys(tx: Transaction, retired_before: datetime) -> list[str]:
    """Forget the keys that retired before this instant; returns their ids. What they signed is good for nothing."""
    rows = tx.execute(
        delete(signing_keys).where(signing_keys.c.retired_at < retired_before).returning(signing_keys.c.kid)
    )
    return sorted(rows.scalars())


def _add(tx: Transaction, kid: str, sealed: bytes, signs_from: datetime) -> None:
    tx.execute(
        tx.dialect.insert(signing_keys)
        .values(kid=kid, sealed=sealed, created_at=tx.now, signs_from=signs_from)
        .on_conflict_do_nothing(index_elements=["kid"])
    )
