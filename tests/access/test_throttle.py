"""Guessing passwords takes longer and longer, and keeps nobody else out."""

import asyncio
from collections.abc import Generator

import httpx
import pytest

from entrepot.access import DatabaseThrottle
from entrepot.access.throttle import FREE_FAILURES
from entrepot.metadata import open_database
from harness.administration import Administration
from harness.registry import LiveRegistry, running_registry

PASSWORD = "the password of somebody"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry with two workers."""
    with running_registry(tmp_path_factory.mktemp("throttle"), "--workers", "2") as started:
        yield started


@pytest.fixture(scope="module")
def admin(registry: LiveRegistry) -> Administration:
    """Administration of its data."""
    return Administration(registry.data)


def log_in(registry: LiveRegistry, name: str, password: str, address: str = "127.0.0.1") -> httpx.Response:
    """Log in on a connection of its own, from an address of this machine."""
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(base_url=registry.url, auth=(name, password), transport=transport, timeout=30) as client:
        return client.get("/v2/")


def fail(registry: LiveRegistry, name: str, times: int) -> None:
    """Have so many wrong passwords counted at this machine's address; each would cost a second and more by now."""

    async def count() -> None:
        database = open_database(f"sqlite:///{registry.data / 'entrepot.db'}")
        throttle = DatabaseThrottle(database)
        for _ in range(times):
            await throttle.failed(name, "127.0.0.1")
        await database.close()

    asyncio.run(count())


@pytest.mark.parametrize("exists", [True, False], ids=["known", "unknown"])
def test_guessing_has_to_wait(registry: LiveRegistry, admin: Administration, exists: bool) -> None:
    """After ten wrong passwords an account, known or not, has to wait at that address, whichever worker is asked."""
    name = f"guessed-{exists}"
    if exists:
        admin.user(name, PASSWORD)
    answers = [log_in(registry, name, f"wrong {number}") for number in range(FREE_FAILURES)]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1

    fail(registry, name, 7)
    waiting = [log_in(registry, name, PASSWORD) for _ in range(6)]

    assert {answer.status_code for answer in waiting} == {429}
    assert all(60 < int(answer.headers["retry-after"]) <= 128 for answer in waiting)
    assert waiting[0].json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert log_in(registry, name, PASSWORD, "127.0.0.2").status_code == (200 if exists else 401)


def test_a_stranger_keeps_nobody_out(registry: LiveRegistry, admin: Administration) -> None:
    """Behind one address with a guesser, robots, tokens and who was in lately go on; so does another account."""
    admin.user("ann", PASSWORD)
    admin.user("bea", PASSWORD)
    secret = admin.robot("node", "reader", "**")
    token = admin.json("token", "create", "ann", "--name", "t")["token"]
    assert log_in(registry, "bea", PASSWORD).status_code == 200
    for name in ("ann", "bea", "node"):
        fail(registry, name, FREE_FAILURES + 7)

    assert log_in(registry, "ann", PASSWORD).status_code == 429
    assert log_in(registry, "ann", token).status_code == 200
    assert log_in(registry, "node", secret).status_code == 200
    assert {log_in(registry, "bea", PASSWORD).status_code for _ in range(10)} <= {200, 429}
    assert log_in(registry, "admin", registry.admin_password).status_code == 200
