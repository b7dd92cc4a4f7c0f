"""Local users."""

import secrets
from datetime import datetime

from sqlalchemy import Select, select, update

from entrepot.metadata.access_tables import accounts
from entrepot.metadata.credentials import revoke_logins
from entrepot.metadata.port import UserRow
from entrepot.metadata.transaction import Transaction

_USER = select(accounts.c.uid, accounts.c.name, accounts.c.password_hash, accounts.c.is_admin, accounts.c.disabled_at)


def find_user_by_name(tx: Transaction, name: str) -> UserRow | None:
    """The user of that name, compared by bytes."""
    return _one(tx, _USER.where(accounts.c.kind == "user", accounts.c.name == name))


def find_user_by_uid(tx: Transaction, uid: str) -> UserRow | None:
    """The user with that opaque id."""
    return _one(tx, _USER.where(accounts.c.uid == uid))


def add_user(tx: Transaction, name: str, password_hash: str, *, is_admin: bool) -> bool:
    """Make a user; False if the name is taken."""
    made = tx.execute(
        tx.dialect.insert(accounts)
        .values(
            uid=secrets.token_hex(16),
            kind="user",
            name=name,
            password_hash=password_hash,
            is_admin=is_admin,
            created_at=tx.now,
        )
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(accounts.c.id)
    ).scalar_one_or_none()
    return made is not None


def set_password_hash(tx: Transaction, name: str, password_hash: str) -> None:
    """Change a user's password; what was made from the old one ends, rights that are cached are looked up anew."""
    changed = tx.execute(
        update(accounts).where(accounts.c.name == name).values(password_hash=password_hash).returning(accounts.c.id)
    )
    for account_id in changed.scalars().all():
        revoke_logins(tx, account_id)


def renew_password_hash(tx: Transaction, uid: str, before: str, password_hash: str) -> None:
    """Store another hash of a user's password, if ``before`` is still the one that is stored; nothing ends by it."""
    same = (accounts.c.uid == uid, accounts.c.password_hash == before)
    tx.execute(update(accounts).where(*same).values(password_hash=password_hash))


def has_users(tx: Transaction) -> bool:
    """Whether there is any user at all."""
    return tx.execute(select(accounts.c.id).limit(1)).one_or_none() is not None


def _one(tx: Transaction, statement: Select[tuple[str, str, str | None, bool, datetime | None]]) -> UserRow | None:
    row = tx.execute(statement).one_or_none()
    if row is None:
        return None
    return UserRow(row.uid, row.name, row.password_hash, row.is_admin, row.disabled_at is not None)
