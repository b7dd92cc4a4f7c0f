"""A registry that is killed at moments which nobody chose, while clients push, move and delete.

``CRASH_ROUNDS`` says how many times per database, ``SOAK_MINUTES`` for how long instead; ``CRASH_SEED`` repeats a run,
as far as chance decides it.
"""

import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from crashes.pushers import CranePusher, Pusher, Shift, Worker, chance_of
from crashes.site import Site, new_site
from harness.postgresql import PostgresqlServer

ROUNDS = 15
ROUNDS_PER_SITE = 15  # then with nothing again, so that looking at all of it does not take ever longer
PUSHERS = 4
LATEST_KILL = 1.5  # seconds after the clients began


def rounds() -> Iterator[int]:
    """The numbers of the rounds, until there were enough or the time is over."""
    minutes = os.environ.get("SOAK_MINUTES")
    at_most = int(os.environ.get("CRASH_ROUNDS", str(ROUNDS)))
    ends = time.monotonic() + float(minutes or 0) * 60
    number = 0
    while time.monotonic() < ends if minutes else number < at_most:
        yield number
        number += 1


def new_workers(folder: Path, chance: random.Random) -> list[Worker]:
    """Clients of a new registry."""
    common = [chance.randbytes(size) for size in (1000, 30_000, 300_000)]
    pushers = [Pusher(f"pusher-{number}", chance_of(chance.random()), common) for number in range(PUSHERS)]
    return [*pushers, CranePusher(folder / "crane", chance_of(chance.random()))]


def kill_in_rounds(folder: Path, fresh_database: Callable[[], str | None]) -> None:
    """Start, kill, start again and look, round after round."""
    seed = int(os.environ.get("CRASH_SEED") or secrets.randbits(32))
    print(f"CRASH_SEED={seed}")  # ruff: ignore[print]  shown when a round fails
    chance = chance_of(seed)
    site = new_site(folder / "site", fresh_database())
    workers = new_workers(site.folder, chance)
    for number in rounds():
        if number and number % ROUNDS_PER_SITE == 0:
            site = new_site(folder / f"site-{number}", fresh_database())
            workers = new_workers(site.folder, chance)
        survive_a_kill(site, workers, chance, server_processes=2 if number % 3 == 2 else 1)
    assert sum(worker.ledger.promises for worker in workers) > 0


def survive_a_kill(site: Site, workers: list[Worker], chance: random.Random, *, server_processes: int) -> None:
    """One round: what the clients were answered before the kill, and in the rounds before, is all there afterwards."""
    with (
        site.served("--workers", str(server_processes)) as registry,
        site.http(registry) as http,
        Shift(workers, registry, http),
    ):
        time.sleep(chance.uniform(0.02, LATEST_KILL))
        registry.kill()
    with site.served() as registry, site.http(registry) as http:
        site.survey(http, [worker.ledger for worker in workers])
        for worker in workers:
            worker.work(registry, http)
        assert registry.stop() == 0


class TestOnSqlite:
    """Rows and bytes in one directory."""

    def test_kills_at_any_moment_lose_nothing(self, tmp_path: Path) -> None:
        """After each kill every 201 that a client saw holds, nothing visible is broken, and the work goes on."""
        kill_in_rounds(tmp_path, lambda: None)


class TestOnPostgresql:
    """Rows on a server that lives on."""

    def test_kills_at_any_moment_lose_nothing(self, tmp_path: Path, postgresql: PostgresqlServer) -> None:
        """After each kill every 201 that a client saw holds, nothing visible is broken, and the work goes on."""
        kill_in_rounds(tmp_path, postgresql.fresh_database)
