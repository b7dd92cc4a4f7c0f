import asyncio
import contextlib
import json
import os
import secrets
import statistics
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import datetime, timedelta
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
    manifest_blobs,
    manifest_reviews,
    manifests,
    repositories,
    repository_blobs,
)
from entrepot.oci import Algorithm, Digest, RepositoryName, Tag, Unavailable
from entrepot.registry import ManifestPush, Uses
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from harness.postgresql import PostgresqlServer
from harness.protocol import LAYER, OCI_MANIFEST, image

ROWS = int(os.environ.get("COST_ROWS", "8000"))
PUSHERS = 4
NAME = RepositoryName("some/name")
_TESTS = Path(__file__).parent.parent
_REVIEWS = 4  # for each image one of itself and one of its layer's link, and of a blob beside it one of link and blob
_IMAGES_AT_ONCE = 1000
_QUIET_SECONDS = 3.0
_OLD = "application/vnd.example.old"

pytestmark = pytest.mark.timeout(120 + ROWS / 50)


async def test_on_sqlite(tmp_path: Path) -> None:
    """On SQLite, a long queue is worked off beside pushes."""
    await measure(tmp_path, {})


async def test_on_postgresql(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    """On PostgreSQL likewise."""
    await measure(tmp_path, {"ENTREPOT_DATABASE": postgresql.fresh_database()})


async def measure(folder: Path, variables: dict[str, str]) -> None:
    """Push without and beside a collection that has many old rows to decide on; print what it took."""
    password = folder / "password"
    password.write_text("password of the admin", encoding="utf-8")
    environment = {**GC, **variables, "ENTREPOT_DATA": str(folder), "ENTREPOT_ADMIN__PASSWORD_FILE": str(password)}
    settings = load_settings({}, environment, None).settings
    await asyncio.to_thread(prepare, settings)
    database = open_database(settings.database.reveal())
    uses = uses_of(settings, database, MemoryBlobStore())
    images = ROWS // _REVIEWS
    try:
        alone = await push_for(uses, asyncio.sleep(_QUIET_SECONDS))
        for start in range(0, images, _IMAGES_AT_ONCE):
            await database.write(partial(_leave, numbers=range(start, min(start + _IMAGES_AT_ONCE, images))))
        collecting = Collecting(database, environment)
        beside = await push_for(uses, collecting.run())
    finally:
        await database.close()
    rows, took = images * _REVIEWS, collecting.seconds
    print(f"\n{rows} reviews in {took:.1f} s: {rows / took:.0f} rows/s")  # ruff: ignore[print]  what it is for; shown with -s
    for what, times in (("alone", alone), ("beside the collection", beside)):
        p50, p99 = statistics.median(times) * 1000, sorted(times)[int(len(times) * 0.99)] * 1000
        print(f"{len(times)} pushes {what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")  # ruff: ignore[print]  likewise
    assert alone
    assert beside


class Collecting:
    """A collector as a process of its own, and how long it has worked."""

    def __init__(self, database: Database, environment: dict[str, str]) -> None:
        self._database = database
        self._environment = environment
        self.seconds = 0.0

    async def run(self) -> None:
        """Collect until all of the old rows are decided."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "collection.collector",
            env={**os.environ, **self._environment, "PYTHONPATH": str(_TESTS)},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            assert await process.stdout.readline()
            began = time.monotonic()
            while await self._database.read(_old_rows):
                assert process.returncode is None
                await asyncio.sleep(0.1)
            self.seconds = time.monotonic() - began
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
        push = ManifestPush(NAME, tag, (), None, json.dumps(document).encode(), may_move_tags=True)
        with contextlib.suppress(Unavailable):  # a database that is busy for ten seconds: such a push counts as slow
            session = await uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
            await uses.finish_upload(ANONYMOUS, NAME, session, Digest.of(config), None, _body(config))
            await uses.push_manifest(ANONYMOUS, push)
        times.append(time.monotonic() - began)


async def _body(content: bytes) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  a body is asynchronous
    yield content


def _old_rows(tx: Transaction) -> int:
    """How many of the old rows have not been decided yet."""
    old = select(repositories.c.id).where(repositories.c.name.like("old/%")).scalar_subquery()
    return sum(
        tx.execute(select(func.count()).where(condition)).scalar_one()
        for condition in (
            manifests.c.media_type == _OLD,
            blobs.c.size == 0,
            link_reviews.c.repository_id.in_(old),
        )
    )


def _leave(tx: Transaction, *, numbers: range) -> None:
    """Make what is reviewed: images without tag, whose layers another image keeps, and blobs that nothing names."""
    long_ago = tx.now - timedelta(days=1)
    repository_id = _old_repository(tx, f"old/r{numbers.start}", long_ago)
    layers = _old_blobs(tx, repository_id, [Digest.of(f"layer {number}".encode()) for number in numbers], 1, long_ago)
    loose = _old_blobs(tx, repository_id, [Digest.of(f"loose {number}".encode()) for number in numbers], 0, long_ago)
    kept = _old_manifests(tx, repository_id, [Digest.of(b"kept")], OCI_MANIFEST, long_ago)
    images = _old_manifests(tx, repository_id, list(layers), _OLD, long_ago)
    named = {"repository_id": repository_id, "role": "layer", "media_type": LAYER}
    named_by_kept = [
        {"manifest_id": kept[0], "ordinal": ordinal, "blob_id": number, "digest": digest}
        for ordinal, (digest, number) in enumerate(layers.items())
    ]
    named_by_images = [
        {"manifest_id": image, "ordinal": 0, "blob_id": number, "digest": digest}
        for image, (digest, number) in zip(images, layers.items(), strict=True)
    ]
    tx.execute(insert(manifest_blobs), [{**row, **named} for row in named_by_kept + named_by_images])
    review = {"event": "tag-gone", "event_at": long_ago, "waits_from": long_ago}
    tx.execute(insert(manifest_reviews), [{"manifest_id": number, **review} for number in images])
    tx.execute(
        insert(link_reviews),
        [{"repository_id": repository_id, "blob_id": number, **review} for number in loose.values()],
    )


def _old_repository(tx: Transaction, name: str, made_at: datetime) -> int:
    actor = {f"created_by_{part}": "" for part in ("kind", "id", "name")}
    making = insert(repositories).values(
        project_id=EVERY_PROJECT, name=name, kind="hosted", state="active", created_at=made_at, **actor
    )
    return int(tx.execute(making.returning(repositories.c.id)).scalar_one())


def _old_blobs(
    tx: Transaction, repository_id: int, digests: Sequence[Digest], size: int, made_at: datetime
) -> dict[Digest, int]:
    tx.execute(
        insert(blobs),
        [{"digest": digest, "size": size, "state": "stored", "created_at": made_at} for digest in digests],
    )
    rows = tx.execute(select(blobs.c.digest, blobs.c.id).where(blobs.c.digest.in_(digests))).all()
    numbers = {row.digest: row.id for row in rows}
    tx.execute(
        insert(repository_blobs),
        [
            {"repository_id": repository_id, "blob_id": number, "linked_at": made_at, "lease_until": made_at}
            for number in numbers.values()
        ],
    )
    return numbers


def _old_manifests(
    tx: Transaction, repository_id: int, digests: Sequence[Digest], media_type: str, pushed_at: datetime
) -> list[int]:
    row = {
        "repository_id": repository_id,
        "media_type": media_type,
        "annotations": "{}",
        "size": 2,
        "total_size": 2,
        "payload": b"{}",
        "pushed_at": pushed_at,
        "lease_until": pushed_at,
        **{f"pushed_by_{part}": "" for part in ("kind", "id", "name")},
    }
    tx.execute(insert(manifests), [{**row, "digest": digest} for digest in digests])
    made = select(manifests.c.id).where(
        manifests.c.repository_id == repository_id, manifests.c.media_type == media_type
    )
    return list(tx.execute(made.order_by(manifests.c.id)).scalars())
