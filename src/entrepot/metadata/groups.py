"""Groups of accounts."""

import secrets
from dataclasses import dataclass
from itertools import starmap

from sqlalchemy import delete, func, select, update

from entrepot.metadata.access_tables import accounts, group_members, groups
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.versions import move_access_version


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group and how many accounts are in it."""

    id: int
    uid: str
    name: str
    description: str
    members: int
    version: int


_MEMBERS = select(func.count()).where(group_members.c.group_id == groups.c.id).scalar_subquery()
_ROW = select(groups.c.id, groups.c.uid, groups.c.name, groups.c.description, _MEMBERS, groups.c.version)


def list_groups(tx: Transaction, after: str, at_most: int) -> list[GroupRow]:
    """Up to ``at_most`` groups with names after ``after``, in byte order."""
    chosen = _ROW.where(groups.c.name > after).order_by(groups.c.name).limit(at_most)
    return list(starmap(GroupRow, tx.execute(chosen)))


def find_group(tx: Transaction, *, name: str | None = None, uid: str | None = None) -> GroupRow | None:
    """The group of that name, or with that opaque id."""
    row = tx.execute(_ROW.where(groups.c.uid == uid if name is None else groups.c.name == name)).one_or_none()
    return None if row is None else GroupRow(*row)


def members_of(tx: Transaction, group_id: int, after: str, at_most: int) -> list[tuple[str, str]]:
    """Up to ``at_most`` members with names after ``after``: name, and ``manual`` or ``login`` for how it came."""
    rows = tx.execute(
        select(accounts.c.name, group_members.c.source)
        .join(accounts, accounts.c.id == group_members.c.account_id)
        .where(group_members.c.group_id == group_id, accounts.c.name > after)
        .order_by(accounts.c.name)
        .limit(at_most)
    )
    return [(row.name, row.source) for row in rows]


def add_group(tx: Transaction, name: str, description: str) -> bool:
    """Make a group; False if there is one of that name."""
    made = tx.execute(
        tx.dialect.insert(groups)
        .values(uid=secrets.token_hex(16), name=name, description=description, created_at=tx.now)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(groups.c.id)
    )
    return made.scalar_one_or_none() is not None


def describe_group(tx: Transaction, group_id: int, description: str) -> None:
    """Say what a group is for."""
    changed = {"description": description, "version": groups.c.version + 1}
    tx.execute(update(groups).where(groups.c.id == group_id).values(changed))


def remove_group(tx: Transaction, group_id: int) -> None:
    """Take a group away with its bindings and memberships."""
    tx.execute(delete(groups).where(groups.c.id == group_id))
    move_access_version(tx)


def add_member(tx: Transaction, group_id: int, account_id: int) -> None:
    """Put an account into a group for good; a login no longer takes it out."""
    offer = tx.dialect.insert(group_members).values(group_id=group_id, account_id=account_id, source="manual")
    tx.execute(offer.on_conflict_do_update(index_elements=["group_id", "account_id"], set_={"source": "manual"}))
    move_access_version(tx)


def remove_member(tx: Transaction, group_id: int, account_id: int) -> bool:
    """Take an account out of a group; False if it is not in it."""
    removed = tx.execute(
        delete(group_members).where(group_members.c.group_id == group_id, group_members.c.account_id == account_id)
    ).rowcount
    if removed:
        move_access_version(tx)
    return bool(removed)
