"""Wrong passwords, counted by account and address together."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, literal, select

from entrepot.metadata.access_tables import login_failures
from entrepot.metadata.transaction import Transaction

_TRIMMED_AT_ONCE = 100  # more than are added meanwhile, which is one


@dataclass(frozen=True, slots=True)
class LoginFailures:
    """How often it went wrong, when last, and when that was asked."""

    count: int
    last_at: datetime
    now: datetime


def find_login_failures(tx: Transaction, key: bytes, window: timedelta) -> LoginFailures | None:
    """What has gone wrong under this key, the last time within ``window``."""
    row = tx.execute(
        select(login_failures.c.failures, login_failures.c.last_at).where(
            login_failures.c.key == key, login_failures.c.last_at > tx.now - window
        )
    ).one_or_none()
    return None if row is None else LoginFailures(row.failures, row.last_at, tx.now)


def add_login_failure(tx: Transaction, key: bytes, window: timedelta) -> None:
    """Count one more; what is older than ``window`` counts no longer, and some of it goes."""
    start = tx.now - window
    old = select(login_failures.c.key).where(login_failures.c.last_at <= start).limit(_TRIMMED_AT_ONCE)
    tx.execute(
        delete(login_failures).where(login_failures.c.key.in_(old.scalar_subquery()), login_failures.c.key != key)
    )
    offer = tx.dialect.insert(login_failures).values(key=key, failures=1, first_at=tx.now, last_at=tx.now)
    is_over = login_failures.c.last_at <= start
    tx.execute(
        offer.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "failures": case((is_over, 1), else_=login_failures.c.failures + 1),
                "first_at": case(
                    (is_over, literal(tx.now, login_failures.c.first_at.type)), else_=login_failures.c.first_at
                ),
                "last_at": tx.now,
            },
        )
    )


def forget_login_failures(tx: Transaction, key: bytes) -> None:
    """Begin anew, after a login that went well."""
    tx.execute(delete(login_failures).where(login_failures.c.key == key))
