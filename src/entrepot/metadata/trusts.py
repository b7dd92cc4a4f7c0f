"""Trusts: whose tokens count as a robot's."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from entrepot.metadata.access_tables import trusts
from entrepot.metadata.actors import Actor
from entrepot.metadata.transaction import Transaction


@dataclass(frozen=True, slots=True)
class ListedTrust:
    """A trust of a robot: the issuer, and patterns of claims that all have to fit."""

    uid: str
    issuer: str
    conditions: dict[str, str]
    created_at: datetime


def add_trust(tx: Transaction, account_id: int, issuer: str, conditions: Mapping[str, str], actor: Actor) -> str:
    """Let tokens of an issuer with these claims stand for a robot; returns the trust's uid."""
    uid = secrets.token_hex(16)
    tx.execute(
        insert(trusts).values(
            uid=uid,
            account_id=account_id,
            issuer=issuer,
            conditions=json.dumps(dict(conditions), sort_keys=True),
            created_at=tx.now,
            **actor.columns("created_by"),
        )
    )
    return uid


def trusts_of(tx: Transaction, account_id: int) -> list[ListedTrust]:
    """The trusts of a robot, oldest first."""
    rows = tx.execute(
        select(trusts.c.uid, trusts.c.issuer, trusts.c.conditions, trusts.c.created_at)
        .where(trusts.c.account_id == account_id)
        .order_by(trusts.c.id)
    )
    return [ListedTrust(row.uid, row.issuer, json.loads(row.conditions), row.created_at) for row in rows]


def remove_trust(tx: Transaction, account_id: int, uid: str) -> bool:
    """Take a trust of a robot away; False if it has none of that uid."""
    return bool(tx.execute(delete(trusts).where(trusts.c.account_id == account_id, trusts.c.uid == uid)).rowcount)
