"""Accounts of people whom a provider vouches for, and the robots for which workloads stand."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, insert, select, update

from entrepot.metadata.access_tables import accounts, group_members, groups, trusts
from entrepot.metadata.credentials import ACCOUNT_COLUMNS, AccountRow
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.versions import move_access_version

_ACCOUNT = select(*ACCOUNT_COLUMNS)


@dataclass(frozen=True, slots=True)
class TrustRow:
    """Whose tokens count as a robot's: conditions on their claims, as patterns by claim."""

    uid: str
    conditions: dict[str, str]
    account: AccountRow


def find_account(tx: Transaction, uid: str) -> AccountRow | None:
    """The account with that opaque id."""
    return _one(tx, _ACCOUNT.where(accounts.c.uid == uid))


def find_account_by_name(tx: Transaction, name: str) -> AccountRow | None:
    """The user or robot of that name, compared by bytes."""
    return _one(tx, _ACCOUNT.where(accounts.c.name == name))


def find_external_account(tx: Transaction, issuer: str, subject: str) -> AccountRow | None:
    """The user whom this provider knows by this subject; locked until commit."""
    return _one(tx, tx.dialect.for_update(_ACCOUNT.where(accounts.c.issuer == issuer, accounts.c.subject == subject)))


def add_external_account(tx: Transaction, issuer: str, subject: str, name: str, *, is_admin: bool) -> bool:
    """Make a user without a password; False if the name, or the provider's subject, is taken."""
    made = tx.execute(
        tx.dialect.insert(accounts)
        .values(
            uid=secrets.token_hex(16),
            kind="user",
            name=name,
            is_admin=is_admin,
            issuer=issuer,
            subject=subject,
            created_at=tx.now,
        )
        .on_conflict_do_nothing()
        .returning(accounts.c.id)
    )
    return made.scalar_one_or_none() is not None


def rename_account(tx: Transaction, account_id: int, name: str) -> bool:
    """Give an account another name; False if that is taken."""
    if find_account_by_name(tx, name) is not None:
        return False
    tx.execute(update(accounts).where(accounts.c.id == account_id).values(name=name, version=accounts.c.version + 1))
    return True


def set_admin(tx: Transaction, account_id: int, *, is_admin: bool) -> None:
    """Make an account an administrator or not; rights that are cached anywhere are looked up anew."""
    tx.execute(
        update(accounts).where(accounts.c.id == account_id).values(is_admin=is_admin, version=accounts.c.version + 1)
    )
    move_access_version(tx)


def note_login(tx: Transaction, account_id: int) -> None:
    """Remember when the account was last logged in to."""
    tx.execute(update(accounts).where(accounts.c.id == account_id).values(last_login_at=tx.now))


def replace_login_groups(tx: Transaction, account_id: int, names: Collection[str]) -> None:
    """Make the account a member, by login, of those groups of these names that exist, and of no others.

    Memberships that an administrator gave stay.
    """
    wanted = set(tx.execute(select(groups.c.id).where(groups.c.name.in_(sorted(names)))).scalars()) if names else set()
    own = select(group_members.c.group_id, group_members.c.source).where(group_members.c.account_id == account_id)
    sources = {row.group_id: row.source for row in tx.execute(own)}
    surplus = {group for group, source in sources.items() if source == "login"} - wanted
    missing = wanted - sources.keys()
    if surplus:
        tx.execute(
            delete(group_members).where(
                group_members.c.account_id == account_id, group_members.c.group_id.in_(sorted(surplus))
            )
        )
    if missing:
        rows = [{"group_id": group, "account_id": account_id, "source": "login"} for group in sorted(missing)]
        tx.execute(insert(group_members), rows)
    if surplus or missing:
        move_access_version(tx)


def list_trusts(tx: Transaction, issuer: str) -> list[TrustRow]:
    """Every robot for which tokens of this issuer may stand, with its conditions."""
    rows = tx.execute(
        select(
            trusts.c.uid,
            trusts.c.conditions,
            *(column.label(f"account_{column.name}") for column in ACCOUNT_COLUMNS),
        )
        .join(accounts, accounts.c.id == trusts.c.account_id)
        .where(trusts.c.issuer == issuer)
        .order_by(trusts.c.id)
    )
    return [
        TrustRow(
            row.uid,
            json.loads(row.conditions),
            AccountRow(*(getattr(row, f"account_{column.name}") for column in ACCOUNT_COLUMNS)),
        )
        for row in rows
    ]


def _one(
    tx: Transaction,
    statement: Select[int, str, str, str, bool, str | None, str | None, datetime | None, datetime | None],
) -> AccountRow | None:
    row = tx.execute(statement).one_or_none()
    return None if row is None else AccountRow(*row)
