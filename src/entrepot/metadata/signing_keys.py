"""Keys that sign tokens, shared by every process over one database."""

from sqlalchemy import select

from entrepot.metadata.access_tables import signing_keys
from entrepot.metadata.tables import versions
from entrepot.metadata.transaction import Transaction


def list_signing_keys(tx: Transaction) -> list[tuple[str, bytes]]:
    """Key ids and sealed keys, newest first."""
    rows = tx.execute(
        select(signing_keys.c.kid, signing_keys.c.sealed).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid)
    )
    return [(row.kid, bytes(row.sealed)) for row in rows]


def add_first_signing_key(tx: Transaction, kid: str, sealed: bytes) -> None:
    """Store the first key; nothing happens if another process was faster."""
    tx.execute(tx.dialect.for_update(select(versions.c.id)))
    if list_signing_keys(tx):
        return
    tx.execute(
        tx.dialect.insert(signing_keys)
        .values(kid=kid, sealed=sealed, created_at=tx.now)
        .on_conflict_do_nothing(index_elements=["kid"])
    )
