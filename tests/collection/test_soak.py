import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from collection.audit import audit, collect_to_the_end
from collection.client import Client, Tally
from collection.clients import Builder, EdgeWalker, SlowReader
from collection.scene import COLLECTORS, Scene
from entrepot.metadata import open_database
from entrepot.settings import load_settings
from entrepot.storage import FilesystemBlobStore
from harness.postgresql import PostgresqlServer

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
BUILDERS = 4
EDGE_WALKERS = 6

pytestmark = pytest.mark.timeout(SECONDS + 240)


class TestSpaceComesBackWhilePushesRunAndNothingIsLost:
    """Clients push, move, delete and pull while two collectors and the server are killed again and again."""

    async def test_on_sqlite(self, tmp_path: Path) -> None:
        """On SQLite, with one worker."""
        await soak(Scene(tmp_path, {}, random.Random(), workers=1))  # ruff: ignore[suspicious-non-cryptographic-random-usage]  chance, no secret

    async def test_on_postgresql(self, tmp_path: Path, postgresql: PostgresqlServer) -> None:
        """On PostgreSQL, with two workers."""
        environment = {"ENTREPOT_DATABASE": postgresql.fresh_database()}
        await soak(Scene(tmp_path, environment, random.Random(), workers=2))  # ruff: ignore[suspicious-non-cryptographic-random-usage]  chance, no secret


async def soak(scene: Scene) -> None:
    """Let clients work for so many seconds, then look whether anything is lost and whether all space came back."""
    tally = Tally()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(scene.stop)
        await scene.start_server()
        workers = cast_of(scene, tally)
        clients = [worker.client for worker in workers]
        for client in clients:
            stack.push_async_callback(client.close)
        await work(scene, workers)
        for client in clients:
            await client.pull_all()
        settings = load_settings({}, scene.variables, None).settings
        database = open_database(settings.database.reveal())
        store = FilesystemBlobStore(scene.data / "store", reserve=0)
        stack.push_async_callback(database.close)
        stack.push_async_callback(store.close)
        await collect_to_the_end(settings, database, store)
        for client in clients:
            await client.pull_all()
        size = await audit(database, store, {client.name: client.ledger for client in clients})
    check_database(scene)
    assert not scene.collector_logs()
    print(f"\n{tally}\n{size} bytes kept, {scene.server_kills} + {scene.collector_kills} kills")  # ruff: ignore[print]  shown with -s
    assert min(tally.manifests, tally.compared, tally.edges) > 0


def cast_of(scene: Scene, tally: Tally) -> list[Builder | EdgeWalker | SlowReader]:
    """Who works in the soak."""

    def client(name: str) -> Client:
        return Client(scene, name, random.Random(scene.chance.random()), tally)  # ruff: ignore[suspicious-non-cryptographic-random-usage]  chance, no secret

    names = tuple(f"soak/builder-{number}" for number in range(BUILDERS))
    return [
        *(Builder(client(name), names) for name in names),
        *(EdgeWalker(client(f"soak/edge-{number}")) for number in range(EDGE_WALKERS)),
        SlowReader(client("soak/reader")),
    ]


async def work(scene: Scene, workers: Sequence[Builder | EdgeWalker | SlowReader]) -> None:
    """Run everything at once until the time is over; what the clients have begun is ended."""
    until = time.monotonic() + SECONDS
    killing = [scene.keep_killing_server(until), *(scene.keep_collecting(number) for number in range(COLLECTORS))]
    working: asyncio.Future[Any] = asyncio.gather(*(worker.work(until) for worker in workers))
    started: list[asyncio.Future[Any]] = [working, *map(asyncio.ensure_future, killing)]
    running = set(started)
    try:
        while not working.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
    finally:
        for task in started:
            task.cancel()
        for task in started:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def check_database(scene: Scene) -> None:
    """Have the database checked by the command, which rightly says of the tests' cluster that it spares the disk."""
    command = [str(Path(sys.executable).with_name("entrepot")), "db", "check"]
    checked = subprocess.run(command, env=scene.variables, capture_output=True, text=True, check=False)
    problems = [line for line in checked.stderr.splitlines() if "the server's setting" not in line]
    assert not problems
    assert checked.returncode == 0 or "the server's setting" in checked.stderr
