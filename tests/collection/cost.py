import asyncio
import contextlib
import json
import os
import secrets
import statistics
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from collection.scene import GC
from entrepot.access import ANONYMOUS
from entrepot.compose import prepare, uses_of
from entrepot.metadata import Database, Transaction, open_database
from entrepot.metadata.tables import (
    EVERY_PROJECT,
    blobs,
    link_reviews,
    repositories,
    repository_blobs,
)
from entrepot.oci import Algorithm, Digest, RepositoryName, Tag, Unavailable
from entrepot.registry import ManifestPush, Uses
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from harness.postgresql import PostgresqlServer
from harness.protocol import image

ROWS = int(os.environ.get("COST_ROWS", "200"))
PUSHERS = 4
NAME = RepositoryName("some/name")
_TESTS = Path(__file__).parent.parent
_ROWS_AT_ONCE = 1000
_QUIET_SECONDS = 2.0

pytestmark = pytest.mark.timeout(300 + ROWS / 50)


async def test_on_sqlite(tmp_path: Path) -> None:
    """On SQLite, a long queue is worked off beside pushes."""
    await measure(tmp_path, {})


async def test_on_postgresql(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    """On PostgreSQL likewise."""
    await measure(tmp_path, {"ENTREPOT_DATABASE": postgresql.fresh_database()})


async def measure(folder: Path, variables: dict[str, str]) -> None:
    """Push without and beside a collection that has many links and then as many blobs to remove; print what it took."""
    password = folder / "password"
    password.write_text("password of the admin", encoding="utf-8")
    environment = {**GC, **variables, "ENTREPOT_DATA": str(folder), "ENTREPOT_ADMIN__PASSWORD_FILE": str(password)}
    settings = load_settings({}, environment, None).settings
    await asyncio.to_thread(prepare, settings)
    database = open_database(settings.database.reveal())
    uses = uses_of(settings, database, MemoryBlobStore())
    try:
        alone = await push_for(uses, asyncio.sleep(_QUIET_SECONDS))
        for start in range(0, ROWS, _ROWS_AT_ONCE):
            await database.write(partial(_queue, start=start))
        began = time.monotonic()
        beside = await push_for(uses, collect_all(database, environment))
        took = time.monotonic() - began
    finally:
        await database.close()
    print(f"\n{2 * ROWS} reviews in {took:.1f} s: {2 * ROWS / took:.0f} rows/s")  # ruff: ignore[print]  what it is for; shown with -s
    for what, times in (("alone", alone), ("beside the collection", beside)):
        p50, p99 = statistics.median(times) * 1000, sorted(times)[int(len(times) * 0.99)] * 1000
        print(f"{len(times)} pushes {what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")  # ruff: ignore[print]  likewise
    assert alone
    assert beside


async def collect_all(database: Database, environment: dict[str, str]) -> None:
    """Run a collector as a process of its own until none of the many rows is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "collection.collector",
        env={**os.environ, **environment, "PYTHONPATH": str(_TESTS)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline()
        while await database.read(_old_rows):
            assert process.returncode is None
            await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.communicate()


async def push_for(uses: Uses, task: Coroutine[Any, Any, None]) -> list[float]:
    """Push images until the task ends; returns the seconds that each push took."""
    times: list[float] = []
    waiting = asyncio.ensure_future(task)
    await asyncio.gather(*(_push_while(uses, waiting, times) for _ in range(PUSHERS)))
    await waiting
    return times


async def _push_while(uses: Uses, waiting: asyncio.Future[None], times: list[float]) -> None:
    tag = Tag(f"t{secrets.token_hex(4)}")
    while not waiting.done():
        began, config = time.monotonic(), secrets.token_bytes(100)
        document = image()
        document["config"] |= {"digest": str(Digest.of(config)), "size": len(config)}
        push = ManifestPush(NAME, tag, (), None, json.dumps(document).encode())
        with contextlib.suppress(Unavailable):  # a database that is busy for ten seconds: such a push counts as slow
            session = await uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
            await uses.finish_upload(ANONYMOUS, NAME, session, Digest.of(config), None, _body(config))
            await uses.push_manifest(ANONYMOUS, push)
        times.append(time.monotonic() - began)


async def _body(content: bytes) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  a body is asynchronous
    yield content


def _old_rows(tx: Transaction) -> int:
    return tx.execute(select(func.count()).select_from(blobs).where(blobs.c.size == 0)).scalar_one()


def _queue(tx: Transaction, *, start: int) -> None:
    """Make links to blobs without bytes, whose leases are over, and queue them."""
    long_ago = tx.now - timedelta(days=1)
    actor = {f"created_by_{part}": "" for part in ("kind", "id", "name")}
    repository_id = tx.execute(
        insert(repositories)
        .values(
            project_id=EVERY_PROJECT, name=f"old/r{start}", kind="hosted", state="active", created_at=long_ago, **actor
        )
        .returning(repositories.c.id)
    ).scalar_one()
    numbers = range(start, min(start + _ROWS_AT_ONCE, ROWS))
    digests = [Digest.of(f"old {number}".encode()) for number in numbers]
    tx.execute(
        insert(blobs),
        [{"digest": digest, "size": 0, "state": "stored", "created_at": long_ago} for digest in digests],
    )
    ids = list(tx.execute(select(blobs.c.id).where(blobs.c.digest.in_(digests))).scalars())
    links = [{"repository_id": repository_id, "blob_id": number} for number in ids]
    tx.execute(insert(repository_blobs), [{**link, "linked_at": long_ago, "lease_until": long_ago} for link in links])
    review = {"event": "linked", "event_at": long_ago, "waits_from": long_ago}
    tx.execute(insert(link_reviews), [{**link, **review} for link in links])
