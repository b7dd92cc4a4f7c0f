"""Credentials that can be taken back: found by their uid, together with whose they are."""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import starmap

from sqlalchemy import delete, insert, or_, select, update

from entrepot.metadata.access_tables import accounts, credentials
from entrepot.metadata.transaction import Transaction
from entrepot.metadata.versions import move_access_version

PER_ACCOUNT_AT_MOST = 100  # refresh tokens and sessions of one account, each; the oldest goes for a further one


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A user or a robot; ``issuer`` and ``subject`` are those of a user whom a provider vouches for."""

    id: int
    uid: str
    kind: str
    name: str
    is_admin: bool
    issuer: str | None
    subject: str | None
    disabled_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential to be stored; what was made from the one of row ``parent_id`` ends with it."""

    uid: str
    kind: str
    name: str
    digest: bytes = field(repr=False)
    expires_at: datetime | None
    scopes: str | None = None
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A stored credential and its account; ``parent`` says whether what it was made from is gone or over, too."""

    id: int
    uid: str
    kind: str
    digest: bytes = field(repr=False)
    scopes: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    account: AccountRow


ACCOUNT_COLUMNS = (
    accounts.c.id,
    accounts.c.uid,
    accounts.c.kind,
    accounts.c.name,
    accounts.c.is_admin,
    accounts.c.issuer,
    accounts.c.subject,
    accounts.c.disabled_at,
    accounts.c.expires_at,
)


def add_credential(tx: Transaction, account_id: int, new: NewCredential) -> int:
    """Store a credential; returns its row number."""
    made = tx.execute(
        insert(credentials)
        .values(
            uid=new.uid,
            account_id=account_id,
            parent_id=new.parent_id,
            kind=new.kind,
            name=new.name,
            secret_digest=new.digest,
            scopes=new.scopes,
            created_at=tx.now,
            expires_at=new.expires_at,
        )
        .returning(credentials.c.id)
    )
    return int(made.scalar_one())


def find_credential(tx: Transaction, uid: str) -> CredentialRow | None:
    """The credential of that uid, revoked or over or not.

    It is over when the one that it was made from is: the earlier of both instants is given.
    """
    parent = credentials.alias("parent")
    row = tx.execute(
        select(
            credentials.c.id,
            credentials.c.uid,
            credentials.c.kind,
            credentials.c.secret_digest,
            credentials.c.scopes,
            credentials.c.expires_at,
            credentials.c.revoked_at,
            parent.c.expires_at.label("parent_expires_at"),
            parent.c.revoked_at.label("parent_revoked_at"),
            *(column.label(f"account_{column.name}") for column in ACCOUNT_COLUMNS),
        )
        .join(accounts, accounts.c.id == credentials.c.account_id)
        .outerjoin(parent, parent.c.id == credentials.c.parent_id)
        .where(credentials.c.uid == uid)
    ).one_or_none()
    if row is None:
        return None
    account = AccountRow(*(getattr(row, f"account_{column.name}") for column in ACCOUNT_COLUMNS))
    return CredentialRow(
        row.id,
        row.uid,
        row.kind,
        bytes(row.secret_digest),
        row.scopes,
        _earlier(row.expires_at, row.parent_expires_at),
        _earlier(row.revoked_at, row.parent_revoked_at),
        account,
    )


def revoke_credential(tx: Transaction, uid: str) -> bool:
    """End a credential now, and with it what was made from it; False if there is none that is not revoked."""
    changed = tx.execute(
        update(credentials)
        .where(credentials.c.uid == uid, credentials.c.revoked_at.is_(None))
        .values(revoked_at=tx.now)
    )
    if changed.rowcount:
        move_access_version(tx)
    return bool(changed.rowcount)


@dataclass(frozen=True, slots=True)
class ListedCredential:
    """A credential as lists show it: everything but its secret."""

    uid: str
    kind: str
    name: str
    scopes: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


_LISTED = select(
    credentials.c.uid,
    credentials.c.kind,
    credentials.c.name,
    credentials.c.scopes,
    credentials.c.created_at,
    credentials.c.expires_at,
    credentials.c.revoked_at,
    credentials.c.last_used_at,
)


def list_credentials(tx: Transaction, account_id: int, kind: str, at_most: int) -> list[ListedCredential]:
    """Up to ``at_most`` credentials of that kind of an account, newest first."""
    chosen = _LISTED.where(credentials.c.account_id == account_id, credentials.c.kind == kind)
    return list(starmap(ListedCredential, tx.execute(chosen.order_by(credentials.c.id.desc()).limit(at_most))))


def listed_credential(tx: Transaction, uid: str) -> ListedCredential | None:
    """The credential of that uid as lists show it."""
    row = tx.execute(_LISTED.where(credentials.c.uid == uid)).one_or_none()
    return None if row is None else ListedCredential(*row)


def end_credentials(tx: Transaction, account_id: int, kind: str, at: datetime) -> None:
    """Let every credential of that kind of an account end at that instant, or earlier where it does already."""
    tx.execute(
        update(credentials)
        .where(
            credentials.c.account_id == account_id,
            credentials.c.kind == kind,
            or_(credentials.c.expires_at.is_(None), credentials.c.expires_at > at),
        )
        .values(expires_at=at)
    )
    move_access_version(tx)


def trim_credentials(tx: Transaction, account_id: int, kind: str) -> None:
    """Make room for one more of the kind: those of the account that are over go, and the oldest beyond the bound."""
    own = (credentials.c.account_id == account_id, credentials.c.kind == kind)
    tx.execute(delete(credentials).where(*own, credentials.c.expires_at <= tx.now))
    newest = select(credentials.c.id).where(*own).order_by(credentials.c.id.desc()).limit(PER_ACCOUNT_AT_MOST - 1)
    removed = tx.execute(delete(credentials).where(*own, credentials.c.id.not_in(newest)))
    if removed.rowcount:
        move_access_version(tx)


def revoke_logins(tx: Transaction, account_id: int) -> None:
    """End what was made from the account's password or from its login at a provider: refresh tokens and sessions."""
    tx.execute(
        delete(credentials).where(
            credentials.c.account_id == account_id,
            credentials.c.parent_id.is_(None),
            or_(credentials.c.kind == "refresh", credentials.c.kind == "session"),
        )
    )
    move_access_version(tx)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((instant for instant in (one, other) if instant is not None), default=None)
