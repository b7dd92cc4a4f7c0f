"""The numbers by which caches of rights know that they are of yesterday."""

from sqlalchemy import update

from entrepot.metadata.tables import versions
from entrepot.metadata.transaction import Transaction


def move_access_version(tx: Transaction) -> None:
    """Say that rights have changed: whoever caches them under the old version asks again."""
    tx.execute(update(versions).values(access_version=versions.c.access_version + 1))
