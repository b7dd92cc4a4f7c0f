"""Logins that wait for a provider's answer, for whichever process gets it."""

from datetime import timedelta

from sqlalchemy import delete, func, insert, select

from entrepot.metadata.access_tables import login_states
from entrepot.metadata.transaction import Transaction


def add_login_state(tx: Transaction, uid: str, kind: str, sealed: bytes, lifetime: timedelta, at_most: int) -> bool:
    """Keep a login that was begun; those that are over go. False if ``at_most`` wait already."""
    tx.execute(delete(login_states).where(login_states.c.expires_at <= tx.now))
    waiting = select(func.count()).select_from(select(login_states.c.uid).limit(at_most).subquery())
    if tx.execute(waiting).scalar_one() >= at_most:
        return False
    tx.execute(
        insert(login_states).values(uid=uid, kind=kind, sealed=sealed, created_at=tx.now, expires_at=tx.now + lifetime)
    )
    return True


def find_login_state(tx: Transaction, uid: str, kind: str) -> bytes | None:
    """What was kept under this uid, unless it is over."""
    return tx.execute(
        select(login_states.c.sealed).where(
            login_states.c.uid == uid, login_states.c.kind == kind, login_states.c.expires_at > tx.now
        )
    ).scalar_one_or_none()


def take_login_state(tx: Transaction, uid: str, kind: str) -> bytes | None:
    """Likewise, and it is gone: nobody gets it a second time."""
    return tx.execute(
        delete(login_states)
        .where(login_states.c.uid == uid, login_states.c.kind == kind, login_states.c.expires_at > tx.now)
        .returning(login_states.c.sealed)
    ).scalar_one_or_none()
