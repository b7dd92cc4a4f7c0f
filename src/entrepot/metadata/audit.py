"""Audit rows: added in batches, read by pages, trimmed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from entrepot.metadata.access_tables import accounts, credentials
from entrepot.metadata.actors import Actor
from entrepot.metadata.tables import audit
from entrepot.metadata.transaction import Transaction


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what to what. ``times`` counts refusals of one minute that are told together.

    ``outcome`` is ``done`` or ``refused``; ``detail`` has what else there is to say.
    """

    id: int
    at: datetime
    actor: Actor
    action: str
    repository: str
    reference: str
    outcome: str
    times: int
    detail: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class NewAuditRow:
    """A row that is not about a change of this transaction; ``at`` None is now."""

    at: datetime | None
    actor: Actor
    action: str
    repository: str
    reference: str
    outcome: str
    times: int
    detail: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted: those that are all of what is given."""

    actor: str | None = None
    action: str | None = None
    repository: str | None = None
    outcome: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CredentialUse:
    """When a credential was used last, and from where."""

    uid: str
    at: datetime
    address: str


def add_audit_rows(tx: Transaction, rows: Sequence[NewAuditRow]) -> None:
    """Write rows that were collected; there is one at least."""
    tx.execute(insert(audit), [_columns(tx, row) for row in rows])


def audit_page(tx: Transaction, wanted: AuditFilter, before: int | None, at_most: int) -> list[AuditRow]:
    """Up to ``at_most`` rows with numbers below ``before``, newest first."""
    chosen = select(audit)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    exact = {
        audit.c.actor_name: wanted.actor,
        audit.c.action: wanted.action,
        audit.c.repository: wanted.repository,
        audit.c.outcome: wanted.outcome,
        audit.c.address: wanted.address,
    }
    chosen = chosen.where(*(column == value for column, value in exact.items() if value is not None))
    if wanted.since is not None:
        chosen = chosen.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        chosen = chosen.where(audit.c.at < wanted.until)
    return [_row(row) for row in tx.execute(chosen.order_by(audit.c.id.desc()).limit(at_most))]


def trim_audit(tx: Transaction, before: datetime, rows_at_most: int, at_most: int) -> int:
    """Remove up to ``at_most`` of the oldest rows, from before that instant or beyond the newest ``rows_at_most``.

    Returns how many.
    """
    newest = tx.execute(select(func.max(audit.c.id))).scalar_one()
    if newest is None:
        return 0
    oldest = tx.execute(select(audit.c.id, audit.c.at).order_by(audit.c.id).limit(at_most)).all()
    gone = [row.id for row in oldest if row.at < before or row.id <= newest - rows_at_most]
    if gone:
        tx.execute(delete(audit).where(audit.c.id.in_(gone)))
    return len(gone)


def note_uses(tx: Transaction, uses: Sequence[CredentialUse]) -> None:
    """Remember when credentials were used, in the order of their ids so that processes do not wait for each other."""
    for use in sorted(uses, key=lambda use: use.uid):
        changed = {"last_used_at": use.at, "last_used_from": use.address}
        tx.execute(update(credentials).where(credentials.c.uid == use.uid).values(changed))


def note_logins(tx: Transaction, uids: Sequence[str]) -> None:
    """Remember that these accounts were logged in to now."""
    for uid in sorted(set(uids)):
        tx.execute(update(accounts).where(accounts.c.uid == uid).values(last_login_at=tx.now))


def known_accounts(tx: Transaction, names: Sequence[str]) -> dict[str, Actor]:
    """Those of these names that accounts have."""
    rows = tx.execute(select(accounts.c.kind, accounts.c.uid, accounts.c.name).where(accounts.c.name.in_(names)))
    return {row.name: Actor(row.kind, row.uid, row.name) for row in rows}


def _columns(tx: Transaction, row: NewAuditRow) -> dict[str, Any]:
    return {
        "at": row.at or tx.now,
        "action": row.action,
        "repository": row.repository,
        "reference": row.reference,
        "detail": json.dumps(row.detail, sort_keys=True),
        "address": row.actor.address,
        "credential": row.actor.credential,
        "outcome": row.outcome,
        "times": row.times,
        **row.actor.columns("actor"),
    }


def _row(row: Row[*tuple[Any, ...]]) -> AuditRow:
    actor = Actor(row.actor_kind, row.actor_id, row.actor_name, row.address, row.credential)
    repository, reference = row.repository or "", row.reference or ""
    detail = json.loads(row.detail)
    return AuditRow(row.id, row.at, actor, row.action, repository, reference, row.outcome, row.times, detail)
