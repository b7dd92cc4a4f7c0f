"""Roles beside the built-in ones."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, delete, select

from entrepot.metadata.access_tables import bindings, roles
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.versions import move_access_version


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role; ``actions`` are words, in order."""

    uid: str
    name: str
    actions: list[str]
    created_at: datetime


_ROW = select(roles.c.uid, roles.c.name, roles.c.actions, roles.c.created_at)


def list_roles(tx: Transaction, at_most: int) -> list[RoleRow]:
    """Up to ``at_most`` roles, in byte order of their names."""
    return [_role(row) for row in tx.execute(_ROW.order_by(roles.c.name).limit(at_most))]


def find_role(tx: Transaction, name: str) -> RoleRow | None:
    """The role of that name."""
    row = tx.execute(_ROW.where(roles.c.name == name)).one_or_none()
    return None if row is None else _role(row)


def add_role(tx: Transaction, name: str, actions: Sequence[str]) -> bool:
    """Make a role; False if there is one of that name."""
    made = tx.execute(
        tx.dialect.insert(roles)
        .values(uid=secrets.token_hex(16), name=name, actions=json.dumps(sorted(actions)), created_at=tx.now)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(roles.c.id)
    )
    return made.scalar_one_or_none() is not None


def role_is_bound(tx: Transaction, name: str) -> bool:
    """Whether a binding gives the role to somebody."""
    return tx.execute(select(bindings.c.id).where(bindings.c.role == name).limit(1)).one_or_none() is not None


def remove_role(tx: Transaction, name: str) -> None:
    """Take a role away; a binding that has it gives nothing any more."""
    tx.execute(delete(roles).where(roles.c.name == name))
    move_access_version(tx)


def _role(row: Row[str, str, str, datetime]) -> RoleRow:
    return RoleRow(row.uid, row.name, json.loads(row.actions), row.created_at)
