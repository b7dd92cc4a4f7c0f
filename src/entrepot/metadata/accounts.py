"""Accounts of people whom a provider vouches for, and the robots for which workloads stand."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap

from sqlalchemy import Select, delete, insert, select, update

from entrepot.metadata.access_tables import accounts, group_members, groups, trusts
from entrepot.metadata.actors import Actor
from entrepot.metadata.credentials import ACCOUNT_COLUMNS, AccountRow
from entrepot.metadata.tables import projects
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


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """An account as lists show it; ``project`` is the one that owns a robot."""

    uid: str
    kind: str
    name: str
    is_admin: bool
    description: str
    project: str | None
    issuer: str | None
    created_at: datetime
    expires_at: datetime | None
    disabled_at: datetime | None
    last_login_at: datetime | None
    version: int


_LISTED = select(
    accounts.c.uid,
    accounts.c.kind,
    accounts.c.name,
    accounts.c.is_admin,
    accounts.c.description,
    projects.c.name.label("project"),
    accounts.c.issuer,
    accounts.c.created_at,
    accounts.c.expires_at,
    accounts.c.disabled_at,
    accounts.c.last_login_at,
    accounts.c.version,
).outerjoin(projects, projects.c.id == accounts.c.project_id)


def list_accounts(tx: Transaction, kind: str, after: str, at_most: int) -> list[ListedAccount]:
    """Up to ``at_most`` users or robots with names after ``after``, in byte order."""
    chosen = _LISTED.where(accounts.c.kind == kind, accounts.c.name > after)
    return list(starmap(ListedAccount, tx.execute(chosen.order_by(accounts.c.name).limit(at_most))))


def listed_account(tx: Transaction, account_id: int) -> ListedAccount:
    """The account of that row as lists show it."""
    return next(starmap(ListedAccount, tx.execute(_LISTED.where(accounts.c.id == account_id))))


def owner_of(tx: Transaction, account_id: int) -> str | None:
    """The name of the project that owns a robot."""
    statement = select(projects.c.name).join(accounts, accounts.c.project_id == projects.c.id)
    return tx.execute(statement.where(accounts.c.id == account_id)).scalar_one_or_none()


def add_robot(
    tx: Transaction, name: str, project_id: int, description: str, expires_at: datetime | None, actor: Actor
) -> int | None:
    """Make a robot that a project owns; returns its row number, None if the name is taken."""
    made = tx.execute(
        tx.dialect.insert(accounts)
        .values(
            uid=secrets.token_hex(16),
            kind="robot",
            name=name,
            is_admin=False,
            description=description,
            project_id=project_id,
            expires_at=expires_at,
            created_at=tx.now,
            **actor.columns("created_by"),
        )
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(accounts.c.id)
    ).scalar_one_or_none()
    return None if made is None else int(made)


def set_disabled(tx: Transaction, account_id: int, *, is_disabled: bool) -> None:
    """Shut an account out, or let it in again; rights that are cached anywhere are looked up anew."""
    at = tx.now if is_disabled else None
    tx.execute(
        update(accounts).where(accounts.c.id == account_id).values(disabled_at=at, version=accounts.c.version + 1)
    )
    move_access_version(tx)


def describe_account(tx: Transaction, account_id: int, description: str) -> None:
    """Say what an account is for."""
    changed = {"description": description, "version": accounts.c.version + 1}
    tx.execute(update(accounts).where(accounts.c.id == account_id).values(changed))


def set_expiry(tx: Transaction, account_id: int, expires_at: datetime | None) -> None:
    """Let an account be over at that instant, or never; rights that are cached anywhere are looked up anew."""
    changed = {"expires_at": expires_at, "version": accounts.c.version + 1}
    tx.execute(update(accounts).where(accounts.c.id == account_id).values(changed))
    move_access_version(tx)


def remove_account(tx: Transaction, account_id: int) -> None:
    """Take an account away with its credentials, memberships, trusts and bindings."""
    tx.execute(delete(accounts).where(accounts.c.id == account_id))
    move_access_version(tx)


def count_admins(tx: Transaction) -> int:
    """How many administrators are there who are not disabled; they stay so until commit."""
    found = select(accounts.c.id).where(accounts.c.is_admin, accounts.c.disabled_at.is_(None)).order_by(accounts.c.id)
    return len(tx.execute(tx.dialect.for_update(found)).all())


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
