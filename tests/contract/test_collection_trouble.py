"""The collection beside others that change the same rows, and rows that cannot be collected, on both databases."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete, insert, select
from typing_extensions import override

from entrepot.access import ANONYMOUS
from entrepot.compose import collection_of
from entrepot.lifecycle import Links, Outcome, Policy, Reason, ReviewBatch, Reviewed, Verdict, delete_objects, review
from entrepot.lifecycle.review import Facts, Subject
from entrepot.metadata import (
    LinkFacts,
    Queue,
    Review,
    Transaction,
    find_tag,
    link_facts,
    open_database,
    remove_links,
    remove_tag,
)
from entrepot.metadata.tables import (
    DEFAULT_STORE,
    blob_objects,
    blob_reviews,
    blobs,
    dead_objects,
    link_reviews,
    reclaimed,
    repository_blobs,
)
from entrepot.oci import Digest, RepositoryName, Tag
from entrepot.storage import StoreUnavailable
from entrepot.testing.faulty_store import Step
from harness.collecting import Collecting, collecting, settings_for
from harness.held import Held
from harness.postgresql import PostgresqlServer
from harness.protocol import EMPTY
from harness.uses import NAME

ACTOR = ANONYMOUS.actor
CONFIG = Digest.of(EMPTY)
OTHER = RepositoryName("other")
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
A_MOMENT = 0.05  # seconds, less than a pass waits for what others hold
WAIT = 20.0  # seconds after which a test that hangs fails
MANY = 260  # more than fits in a batch


class Blind(Links):
    """A review of links that does not see who names a blob."""

    @override
    def judge(self, facts: LinkFacts, review: Review, policy: Policy, now: datetime) -> Verdict:
        """Collect everything."""
        return Verdict(Outcome.COLLECT, Reason.NOT_NAMED)


async def give_up(registry: Collecting, *contents: bytes) -> list[Digest]:
    """Blobs of no repository, due for their last review."""
    digests = [await registry.push_blob(content) for content in contents]
    for digest in digests:
        await registry.uses.delete_blob(ANONYMOUS, NAME, digest)
    await registry.age(2 * DAY)
    return digests


async def spoil(registry: Collecting, digest: Digest) -> str:
    """Make a blob impossible to remove: its object is on record as dead already. Returns the key."""
    blob_id = select(blobs.c.id).where(blobs.c.digest == digest).scalar_subquery()
    [key] = await registry.scalars(blob_objects.c.key, where=blob_objects.c.blob_id == blob_id)

    def unit(tx: Transaction) -> None:
        tx.execute(insert(dead_objects).values(key=key, store_id=DEFAULT_STORE, size=1, delete_after=tx.now))

    await registry.database.write(unit)
    return str(key)


async def test_one_bad_row_stops_no_other(collected: Collecting) -> None:
    """A row whose removal fails is recorded with its error and shown, and all others go on."""
    await collected.image("v1")
    *good, bad = await give_up(collected, b"first", b"second", b"bad")
    await spoil(collected, bad)

    done = await collected.collect()

    assert (done.blobs.collected, done.blobs.failed, done.failures) == (2, 1, 1)
    assert await collected.blobs() == {CONFIG, bad}
    assert not await collected.blobs() & set(good)
    [(attempts, error)] = await collected.scalars(blob_reviews.c.attempts, blob_reviews.c.last_error)
    assert attempts == 1
    assert error.startswith("UniqueViolation")
    status = await collected.collection.status()
    assert status.queues[Queue.BLOBS].failing == 1
    [planned] = [entry for entry in await collected.collection.plan(10, due_only=False) if entry.queue == "blobs"]
    assert (planned.digest, planned.review.attempts, planned.review.last_error) == (str(bad), 1, error)


async def test_a_bad_row_is_tried_again_and_again_later(collected: Collecting) -> None:
    """After a minute, two, four, and so on, and at last it goes; what a blob has by its rows is never deleted."""
    await collected.image("v1")
    [bad] = await give_up(collected, b"bad")
    key = await spoil(collected, bad)
    for attempts, pause in enumerate((1, 2, 4), start=1):
        await collected.collect()
        await collected.age(pause * MINUTE - MINUTE / 2)
        assert (await collected.collect()).blobs.decided == 0
        assert await collected.scalars(blob_reviews.c.attempts) == [attempts]
        await collected.age(MINUTE / 2)
    assert key in await collected.objects()

    await collected.database.write(lambda tx: tx.execute(delete(dead_objects)).rowcount)
    assert (await collected.collect()).blobs.collected == 1

    assert await collected.blobs() == {CONFIG}


async def test_what_the_database_knows_to_be_in_use_leaves_the_queue(collected: Collecting) -> None:
    """A link that a foreign key holds stays and is reviewed no more, whatever the review thought; others go on."""
    held, loose = await collected.push_blob(b"held"), await collected.push_blob(b"loose")
    await collected.age(2 * DAY)
    await collected.blob_image("v1", content=b"held")
    await collected.age(2 * DAY)

    done = await collected.collection.collect_garbage.review(Blind())

    assert (done.decided, done.failed) == (3, 0)
    links = await collected.scalars(repository_blobs.c.blob_id)
    assert len(links) == 2
    assert await collected.scalars(link_reviews.c.blob_id) == []
    await collected.collect_all()
    assert await collected.blobs() == {CONFIG, held}
    assert loose not in await collected.blobs()


async def test_two_collectors_share_the_work(collected: Collecting, url: str, tmp_path: Path) -> None:
    """Two at once raise no error, do nothing twice, and keep exact accounts."""
    contents = [secrets.token_bytes(100 + number) for number in range(MANY)]
    await asyncio.gather(*map(collected.push_blob, contents))
    second = open_database(url)
    try:
        other = collection_of(settings_for(tmp_path, url), second, collected.faults)
        links = gone = objects = freed = 0
        for _ in range(4):
            await collected.age(2 * DAY)
            for done in await asyncio.gather(collected.collect(), other.collect_garbage(), collected.collect()):
                assert done.failures == 0
                links += done.links.collected
                gone += done.blobs.collected
                objects += done.objects.objects
                freed += done.objects.bytes
        for _ in range(3):
            await collected.age(2 * DAY)
            done = await collected.collect()
            links, gone = links + done.links.collected, gone + done.blobs.collected
            objects, freed = objects + done.objects.objects, freed + done.objects.bytes
    finally:
        await second.close()

    size = sum(map(len, contents)) + len(EMPTY)
    assert (links, gone, objects, freed) == (MANY + 1, MANY + 1, MANY + 1, size)
    assert await collected.scalars(reclaimed.c.bytes, reclaimed.c.objects) == [(size, MANY + 1)]
    assert await collected.objects() == []


async def test_a_referrer_that_is_let_go_during_a_review(collected: Collecting) -> None:
    """A tag that is deleted while what its manifest keeps is reviewed leaves nothing behind for ever."""
    subject = await collected.image()
    referrer = await collected.referrer(subject, "kept")
    await collected.age(30 * DAY)

    def unit(tx: Transaction) -> None:
        was = find_tag(tx, 1, Tag("kept"), lock=True)
        assert was == referrer
        remove_tag(tx, 1, Tag("kept"), was, ACTOR, DAY)

    await Held(unit).while_held(collected.database, collected.collect)
    assert await collected.manifests() == {subject, referrer}
    await collected.collect_all()

    assert await collected.manifests() == set()


async def test_a_link_that_goes_during_a_review_of_its_blob(collected: Collecting) -> None:
    """A blob that loses its last link while it is reviewed is reviewed again."""
    digest = await collected.push_blob(b"shared")
    await collected.uses.mount_blob.from_repository(ANONYMOUS, OTHER, digest, NAME)
    await collected.uses.delete_blob(ANONYMOUS, OTHER, digest)
    await collected.clear_links()
    await collected.age(2 * DAY)
    [(blob_id, _)] = await collected.scalars(blob_reviews.c.blob_id, blob_reviews.c.event)

    await Held(lambda tx: remove_links(tx, link_facts(tx, [(1, blob_id)]))).while_held(
        collected.database, collected.collect
    )
    assert digest in await collected.blobs()
    await collected.collect_all()

    assert digest not in await collected.blobs()


class Noting(ReviewBatch):
    """Reviews that note which queue had its turn."""

    __slots__ = ("turns",)

    def __init__(self, review: ReviewBatch) -> None:
        super().__init__(review.database, review.policy, review.clock)
        object.__setattr__(self, "turns", [])

    @override
    async def __call__(self, subject: Subject[Facts]) -> Reviewed:
        """Review as it is done."""
        self.turns.append(subject.queue)  # type: ignore[attr-defined]
        return await ReviewBatch.__call__(self, subject)


async def test_a_long_queue_keeps_no_other_waiting(collected: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one queue has a full batch again and again, the others have a turn after each."""
    monkeypatch.setattr(review, "BATCH", 2)
    for number in range(5):
        await collected.image()
        await collected.push_blob(f"loose {number}".encode())
    await collected.age(40 * DAY)
    collecting_all = collected.collection.collect_garbage
    noting = Noting(collecting_all.review)

    await replace(collecting_all, review=noting)()

    turns: list[Queue] = noting.turns  # type: ignore[attr-defined]
    assert turns[:5] == [Queue.MANIFESTS, Queue.LINKS, Queue.BLOBS, Queue.MANIFESTS, Queue.LINKS]
    assert turns.count(Queue.MANIFESTS) == 3
    assert await collected.manifests() == set()


async def test_a_store_that_refuses_some_is_asked_for_the_others(
    collected: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole batch that the store refuses keeps no later one from being deleted in the same pass."""
    monkeypatch.setattr(delete_objects, "_BATCH", 1)
    await collected.image("v1")
    await give_up(collected, b"first", b"second", b"third")
    await collected.collect()
    await collected.age(2 * HOUR)
    for call in (1, 2):
        collected.faults.fail(Step.DELETE, StoreUnavailable(reason="timeout"), call=call)

    done = await collected.collect()

    assert (done.objects.refused, done.objects.objects) == (2, 1)


@pytest.fixture
async def on_postgresql(postgresql: PostgresqlServer, template: str, tmp_path: Path) -> AsyncIterator[Any]:
    """A registry on PostgreSQL, and a connection of somebody else to its database."""
    url = postgresql.fresh_database(template)
    async with collecting(url, tmp_path) as registry:
        with psycopg.connect(url) as connection:
            yield registry, connection


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("manifests", "digest"),
        ("manifest_reviews", "manifest_id"),
        ("repository_blobs", "blob_id"),
        ("link_reviews", "blob_id"),
        ("blobs", "id"),
        ("blob_reviews", "blob_id"),
    ],
)
async def test_what_others_hold_is_left_for_later(on_postgresql: Any, table: str, key: str) -> None:
    """Rows that another transaction holds are left, without waiting, and taken when they are free."""
    registry: Collecting = on_postgresql[0]
    connection: psycopg.Connection[Any] = on_postgresql[1]
    await registry.image()
    await registry.push_blob(b"a link")
    await give_up(registry, b"a blob")
    await registry.age(30 * DAY)
    lock = f"SELECT {key} FROM {table} FOR KEY SHARE"  # ruff: ignore[hardcoded-sql-expression]  ours
    held = connection.execute(lock.encode()).fetchall()
    assert held

    async with asyncio.timeout(WAIT):
        done = await registry.collect()
    assert done.failures == 0
    count = f"SELECT count(*) FROM {table}"  # ruff: ignore[hardcoded-sql-expression]  ours
    [left] = connection.execute(count.encode()).fetchone() or [0]
    assert left >= len(held)
    connection.rollback()
    await registry.collect_all()

    [left] = connection.execute(count.encode()).fetchone() or [0]
    assert left == 0


async def test_what_others_let_go_of_is_taken_in_the_same_pass(
    on_postgresql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full batch that another holds for a moment does not end the pass."""
    monkeypatch.setattr(review, "BATCH", 2)
    registry: Collecting = on_postgresql[0]
    connection: psycopg.Connection[Any] = on_postgresql[1]
    for _ in range(5):
        await registry.image()
    await registry.age(40 * DAY)
    connection.execute("SELECT id FROM manifests ORDER BY id LIMIT 2 FOR UPDATE")

    collecting_all = asyncio.ensure_future(registry.collect())
    await asyncio.sleep(A_MOMENT)
    connection.rollback()
    done = await collecting_all

    assert done.manifests.collected == 5
