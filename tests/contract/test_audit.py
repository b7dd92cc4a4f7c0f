"""Audit rows, on both databases: folded, bounded, trimmed, and kept when the database does not take them."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import func, select

from entrepot.access import Caller, Principal, PrincipalKind, Refused, Trail
from entrepot.access.trail import WAITING_AT_MOST
from entrepot.jobs import JobRun, audit_kind
from entrepot.metadata import (
    Actor,
    AuditFilter,
    Claim,
    Database,
    NewAuditRow,
    add_audit_rows,
    audit_page,
    open_database,
    trim_audit,
)
from entrepot.metadata.tables import audit
from entrepot.oci import Unavailable

ANN = Principal(PrincipalKind.USER, "u1", "ann")


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database, None]:
    """A database with the schema."""
    opened = open_database(url)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def trail(database: Database, clock: Clock) -> Trail:
    """A trail with that clock."""
    return Trail(database, clock=clock)


def refusal(action: str = "PUT /v2/x", address: str = "192.0.2.1") -> Refused:
    """A refusal of ann's."""
    return Refused(ANN.actor, "", address, action, "team/app", {"scope": "repository:team/app:push"})


async def all_rows(database: Database) -> list[tuple[str, str, int]]:
    """Action, outcome and times of all rows, oldest first."""
    found = await database.read(lambda tx: audit_page(tx, AuditFilter(), None, 10_000))
    return [(row.action, row.outcome, row.times) for row in reversed(found)]


async def test_refusals_of_a_minute_are_one_row(database: Database, trail: Trail, clock: Clock) -> None:
    """It is written when the minute is over; other addresses and actions have rows of their own."""
    for _ in range(3):
        trail.refused(refusal())
    trail.refused(refusal("DELETE /v2/x"))
    await trail.write(int(clock.now) // 60)
    assert await all_rows(database) == []
    clock.now += 60
    trail.refused(refusal())
    await trail.write(int(clock.now) // 60)
    assert await all_rows(database) == [("PUT /v2/x", "refused", 3), ("DELETE /v2/x", "refused", 1)]
    await trail.close()
    assert (await all_rows(database))[2:] == [("PUT /v2/x", "refused", 1)]


async def test_a_flood_is_bounded(database: Database, trail: Trail) -> None:
    """Different refusals beyond the bound are one row together, and the count is right."""
    for number in range(WAITING_AT_MOST + 500):
        trail.refused(refusal(address=f"2001:db8::{number:x}"))
    await trail.close()
    rows = await all_rows(database)
    assert len(rows) == WAITING_AT_MOST + 1
    assert rows[-1] == ("requests", "refused", 500)
    assert sum(times for *_, times in rows) == WAITING_AT_MOST + 500


async def test_a_login_is_one_row_an_hour(database: Database, trail: Trail, clock: Clock) -> None:
    """Of the same account, way, credential and address."""
    for later in (0, 10, 3590, 10):
        clock.now += later
        trail.came(Caller(ANN, None), "request", "192.0.2.1")
    trail.came(Caller(ANN, None), "token", "192.0.2.1")
    trail.came(Caller(ANN, None), "request", "192.0.2.2")
    await trail.close()
    assert [action for action, *_ in await all_rows(database)] == ["login"] * 4


async def test_what_the_database_does_not_take_is_kept(
    database: Database, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written the next time."""
    trail.came(Caller(ANN, None), "request", "192.0.2.1")
    trail.refused(refusal())
    with monkeypatch.context() as broken:
        broken.setattr(type(database), "write", AsyncMock(side_effect=Unavailable))
        await trail.close()
    assert await all_rows(database) == []
    await trail.close()
    assert {action for action, *_ in await all_rows(database)} == {"login", "PUT /v2/x"}


def rows_of(count: int, at: datetime) -> list[NewAuditRow]:
    """So many rows of an instant."""
    return [NewAuditRow(at, Actor("user", "u", "u"), "x", "", "", "done", 1, {}) for _ in range(count)]


async def test_trimming(database: Database) -> None:
    """What is old goes, then the oldest beyond the bound, in bounded steps."""
    now = datetime.now(UTC)
    await database.write(lambda tx: add_audit_rows(tx, rows_of(30, now - timedelta(days=10))))
    await database.write(lambda tx: add_audit_rows(tx, rows_of(100, now)))
    assert await database.write(lambda tx: trim_audit(tx, now - timedelta(days=1), 1000, 20)) == 20
    assert await database.write(lambda tx: trim_audit(tx, now - timedelta(days=1), 1000, 20)) == 10
    assert await database.write(lambda tx: trim_audit(tx, now - timedelta(days=1), 60, 1000)) == 40
    assert await database.write(lambda tx: trim_audit(tx, now - timedelta(days=1), 60, 1000)) == 0
    assert await database.read(lambda tx: tx.execute(select(func.count()).select_from(audit)).scalar_one()) == 60


async def test_the_job_trims(database: Database) -> None:
    """It goes on until nothing is left to forget."""
    await database.write(lambda tx: add_audit_rows(tx, rows_of(2500, datetime.now(UTC) - timedelta(days=10))))
    kind = audit_kind(database, timedelta(days=1), 1000)
    await kind.run(JobRun(Claim(1, kind.name, {}, "a test", 1, 1)))
    assert await database.read(lambda tx: tx.execute(select(func.count()).select_from(audit)).scalar_one()) == 0
