"""Robots that trust the tokens of an issuer, as rows."""

import json
import secrets
from collections.abc import Mapping

from sqlalchemy import insert, update

from entrepot.metadata import Actor, Transaction, find_account_by_name
from entrepot.metadata.access_tables import accounts, trusts
from entrepot.metadata.tables import EVERY_PROJECT

MAKER = Actor("user", "u1", "maker")


def add_robot(tx: Transaction, name: str, issuer: str, *conditions: Mapping[str, str]) -> None:
    """Make a robot of the system that trusts the issuer's tokens under any of these conditions."""
    robot = tx.execute(
        insert(accounts)
        .values(
            uid=secrets.token_hex(16),
            kind="robot",
            name=name,
            is_admin=False,
            project_id=EVERY_PROJECT,
            created_at=tx.now,
        )
        .returning(accounts.c.id)
    ).scalar_one()
    for one in conditions:
        tx.execute(
            insert(trusts).values(
                uid=secrets.token_hex(16),
                account_id=robot,
                issuer=issuer,
                conditions=json.dumps(dict(one)),
                created_at=tx.now,
                **MAKER.columns("created_by"),
            )
        )


def disable_account(tx: Transaction, name: str) -> None:
    """Shut an account out."""
    found = find_account_by_name(tx, name)
    assert found is not None
    tx.execute(update(accounts).where(accounts.c.id == found.id).values(disabled_at=tx.now))
