"""Wrong passwords are counted alike on both databases."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from sqlalchemy import text

from entrepot.access import DatabaseThrottle
from entrepot.access.throttle import FREE_FAILURES, WINDOW
from entrepot.metadata import Database, open_database
from entrepot.oci import TooManyRequests


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database, None]:
    """A database with the schema."""
    opened = open_database(url)
    yield opened
    await opened.close()


async def test_waits_double_and_end(database: Database) -> None:
    """Each failure beyond the free ones doubles the wait up to the window; a success begins anew."""
    throttle = DatabaseThrottle(database)

    async def wait() -> int:
        try:
            await throttle.admit("ann", "192.0.2.1")
        except TooManyRequests as refusal:
            return int(str(refusal.detail["retry_after"]))
        return 0

    async def age(by: timedelta) -> None:
        statement = text("UPDATE login_failures SET last_at = last_at - :by")
        await database.write(lambda tx: tx.execute(statement, {"by": by // timedelta(microseconds=1)}))

    waits = []
    for _ in range(FREE_FAILURES + 12):
        waits.append(await wait())
        await throttle.failed("ann", "192.0.2.1")
    assert waits == [0] * FREE_FAILURES + [min(2**n, int(WINDOW.total_seconds())) for n in range(12)]
    assert await throttle.admit("ann", "192.0.2.2") is False
    assert await throttle.admit("bea", "192.0.2.1") is False

    await age(WINDOW)
    assert await wait() == 0
    await throttle.failed("ann", "192.0.2.1")
    assert await throttle.admit("ann", "192.0.2.1") is True
    await throttle.succeeded("ann", "192.0.2.1")
    assert await throttle.admit("ann", "192.0.2.1") is False


async def test_a_network_of_version_6_is_one(database: Database) -> None:
    """Who has a whole /64 gains nothing by it."""
    throttle = DatabaseThrottle(database)
    for number in range(FREE_FAILURES):
        await throttle.failed("ann", f"2001:db8::{number:x}")
    with pytest.raises(TooManyRequests):
        await throttle.admit("ann", "2001:db8::ffff")
    assert await throttle.admit("ann", "2001:db8:0:1::1") is False
