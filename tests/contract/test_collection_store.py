"""Bytes that go at last: refusing stores, expired sessions, unknown objects, wrong clocks and pull counts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from entrepot.access import ANONYMOUS
from entrepot.compose.gauges import gauges_of
from entrepot.lifecycle import DatabaseClock, SweepRefused
from entrepot.metadata import Transaction, upgrade
from entrepot.metadata.sqlite import SqliteDatabase
from entrepot.metadata.tables import (
    DEFAULT_STORE,
    blob_objects,
    dead_objects,
    manifests,
    pull_counts,
    reclaimed,
    repositories,
    upload_objects,
    upload_sessions,
)
from entrepot.oci import Algorithm, Digest, Tag, Unavailable
from entrepot.registry import CountPulls
from entrepot.storage import StoreUnavailable, new_key
from entrepot.testing.faulty_store import Step
from harness.collecting import Collecting, change, collecting
from harness.protocol import EMPTY
from harness.uses import NAME, body

CONFIG = Digest.of(EMPTY)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


async def dead(registry: Collecting, *contents: bytes) -> None:
    """Blobs whose bytes alone are left, due to be deleted."""
    await registry.image("v1")
    for content in contents:
        await registry.uses.delete_blob(ANONYMOUS, NAME, await registry.push_blob(content))
    await registry.age(2 * DAY)
    await registry.collect()
    await registry.age(2 * HOUR)


async def test_a_store_that_refuses_is_asked_again(collected: Collecting) -> None:
    """What the store does not delete stays on record and is tried again, later each time; accounts are exact."""
    await dead(collected, b"first", b"second", b"third")
    collected.faults.fail(Step.DELETE, StoreUnavailable(reason="timeout"), call=2)

    done = await collected.collect()

    assert (done.objects.objects, done.objects.refused, done.failures) == (2, 1, 1)
    assert (await collected.collection.status()).refused_objects == 1
    [(attempts, error)] = await collected.scalars(dead_objects.c.attempts, dead_objects.c.last_error)
    assert attempts == 1
    assert error.startswith("StoreUnavailable: ")
    assert error.endswith("(reason: timeout)")
    collected.faults.fail(Step.DELETE, StoreUnavailable(reason="timeout"))
    await collected.age(MINUTE)
    assert (await collected.collect()).objects.refused == 1
    await collected.age(1.5 * MINUTE)
    assert (await collected.collect()).objects == type(done.objects)()
    await collected.age(MINUTE)
    assert (await collected.collect()).objects.objects == 1
    sums = await collected.scalars(reclaimed.c.repository, reclaimed.c.bytes, reclaimed.c.objects)
    assert sums == [(NAME.text, len(b"firstsecondthird"), 3)]
    assert len(await collected.objects()) == 1


async def test_a_deletion_that_was_done_and_not_recorded(collected: Collecting) -> None:
    """After a crash between the bytes and the row, the deletion is repeated and the accounts are right."""
    await dead(collected, b"gone")
    [key] = await collected.scalars(dead_objects.c.key)
    await collected.store.delete(key)

    assert (await collected.collect()).objects.bytes == len(b"gone")
    assert await collected.scalars(dead_objects.c.key) == []


async def test_an_object_in_use_is_never_deleted(collected: Collecting) -> None:
    """A record that calls the object of a blob or an upload dead deletes nothing."""
    await collected.blob_image("v1", content=b"a layer")
    session = await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await collected.uses.write_upload(ANONYMOUS, NAME, session, 0, body(b"half of it"))
    keys = [*await collected.scalars(blob_objects.c.key), *await collected.scalars(upload_objects.c.key)]

    def bury(tx: Transaction) -> None:
        for key in keys:
            row = {"key": key, "store_id": DEFAULT_STORE, "size": 1, "delete_after": tx.now - DAY}
            tx.execute(insert(dead_objects).values(row))

    await collected.database.write(bury)
    await collected.collect()

    assert set(await collected.objects()) == set(keys)


@pytest.mark.parametrize("writing", [False, True])
async def test_expired_uploads_go(collected: Collecting, writing: bool) -> None:
    """A session that expired ends and its bytes are deleted, an hour later if somebody may still be writing to it."""
    expired = await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await collected.uses.write_upload(ANONYMOUS, NAME, expired, 0, body(b"half of it"))
    await change(collected, upload_sessions, writing=writing)
    await collected.age(7 * DAY)
    running = await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)

    done = await collected.collect()

    assert done.uploads == 2  # the finished one of the config too
    assert await collected.scalars(upload_sessions.c.id) == [running]
    assert done.objects.objects == (0 if writing else 1)
    await collected.age(HOUR)
    await collected.collect()
    assert len(await collected.objects()) == 1


async def test_an_upload_that_cannot_expire_stops_nothing_else(collected: Collecting) -> None:
    """Where expired sessions cannot be removed, the rest of the pass goes on, and says that something failed."""
    await dead(collected, b"alone")
    await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    (key,) = await collected.scalars(upload_objects.c.key)
    twice = {"key": key, "store_id": DEFAULT_STORE, "size": 0, "delete_after": datetime(2100, 1, 1, tzinfo=UTC)}
    await collected.database.write(lambda tx: tx.execute(insert(dead_objects), [twice]).close())
    await collected.age(8 * DAY)

    done = await collected.collect()

    assert done.expiry_failed
    assert done.failures == 1
    assert done.objects.objects == 1


async def test_a_sweep_beside_the_wrong_database_deletes_nothing(collected: Collecting) -> None:
    """Where most objects are unknown the sweep refuses and records nothing, until it is forced."""
    await collected.image("v1")
    for _ in range(11):
        await collected.store.append(new_key(), 0, body(b"of another registry"))

    with pytest.raises(SweepRefused, match="11 of 12 objects"):
        await collected.collection.sweep_store()

    assert await collected.scalars(dead_objects.c.key) == []
    assert await collected.collection.sweep_store(force=True) == (12, 11)


async def test_unknown_objects_go_after_a_time_of_grace(collected: Collecting) -> None:
    """The sweep finds what no row has, and nothing else; it goes a day later, unless a row has it by then."""
    await dead(collected, b"dead")
    session = await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await collected.uses.write_upload(ANONYMOUS, NAME, session, 0, body(b"half of it"))
    known = await collected.objects()
    lost, restored = new_key(), new_key()
    for key in (lost, restored):
        await collected.store.append(key, 0, body(b"unknown"))

    assert await collected.collection.sweep_store() == (len(known) + 2, 2)
    assert await collected.collection.sweep_store() == (len(known) + 2, 0)
    await collected.database.write(
        lambda tx: (
            tx.execute(
                insert(upload_objects).values(
                    session_id=session, ordinal=1, store_id=DEFAULT_STORE, key=restored, size=7
                )
            ).rowcount
        )
    )
    await collected.age(DAY - HOUR)
    await collected.collect()
    assert lost in await collected.objects()
    await collected.age(HOUR)
    await collected.collect()

    left = await collected.objects()
    assert lost not in left
    assert restored in left
    assert set(await collected.scalars(upload_objects.c.key)) <= set(left)


class SetClock:
    """A host's clock that can be set."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self.offset


@pytest.fixture
async def clocked(tmp_path: Path) -> AsyncIterator[tuple[Collecting, SetClock]]:
    """A registry on SQLite and the clock of its host."""
    path, clock = tmp_path / "entrepot.db", SetClock()
    upgrade(f"sqlite:///{path}")
    async with collecting(f"sqlite:///{path}", tmp_path, SqliteDatabase(path, clock)) as registry:
        await registry.collect()
        yield registry, clock


@pytest.mark.parametrize(
    ("steps", "late"),
    [
        ((HOUR,), timedelta(0)),
        ((-HOUR, HOUR), HOUR),
        ((HOUR, -HOUR), timedelta(0)),
        ((2 * HOUR, -HOUR, HOUR), timedelta(0)),
    ],
)
async def test_a_wrong_clock_deletes_nothing_early(
    clocked: tuple[Collecting, SetClock], steps: tuple[timedelta, ...], late: timedelta
) -> None:
    """Whatever has half an hour left stays while the host's clock is set, and goes half an hour later or more."""
    registry, clock = clocked
    await registry.push_blob(b"loose")
    await registry.age(DAY - HOUR / 2)
    for step in steps:
        clock.offset += step
        done = await registry.collect()
        assert (done.links.collected, done.objects.objects) == (0, 0)
    assert await registry.blobs() == {CONFIG, Digest.of(b"loose")}
    await registry.age(late)
    assert (await registry.collect()).links.collected == 0
    await registry.age(HOUR / 2 + MINUTE)

    assert (await registry.collect()).links.collected == 2


async def test_what_is_promised_while_the_clock_is_behind_lasts(clocked: tuple[Collecting, SetClock]) -> None:
    """A lease that was given by a clock an hour behind is not over when the clock is put right."""
    registry, clock = clocked
    clock.offset = -HOUR
    await registry.collect()
    await registry.push_blob(b"loose")
    await registry.age(DAY - HOUR / 2)
    clock.offset = timedelta(0)

    assert (await registry.collect()).links.collected == 0
    await registry.age(HOUR / 2 + MINUTE)
    assert (await registry.collect()).links.collected == 1
    await registry.age(HOUR)
    assert (await registry.collect()).links.collected == 1


def test_the_servers_clock_rules_on_postgresql(collected: Collecting, url: str) -> None:
    """Where the database has a clock of its own, the host's plays no part."""
    clock = collected.collection.collect_garbage.review.clock
    assert isinstance(clock, DatabaseClock) is url.startswith("postgresql")


async def test_pulls_that_the_database_refuses_are_kept(collected: Collecting) -> None:
    """Counts wait until the database takes them and are added up; those of a deleted repository are dropped."""
    digest = await collected.image("v1")
    found = await collected.uses.pull_manifest.resolve(NAME, digest)
    assert found.repository is not None
    assert found.manifest is not None

    class Refusing:
        """A database that refuses once."""

        refuses = True

        async def write(self, unit: object) -> object:
            """Refuse, or pass on."""
            if self.refuses:
                raise Unavailable(reason="busy")
            return await collected.database.write(unit)  # type: ignore[arg-type]

    database = Refusing()
    counts = CountPulls(database)  # type: ignore[arg-type]
    counts.saw(found.repository, found.manifest, digest)
    await counts.write()
    assert await collected.scalars(pull_counts.c.pulls) == []
    counts.saw(found.repository, found.manifest, digest)
    database.refuses = False
    await counts.write()
    counts.saw(found.repository, found.manifest, digest)
    await counts.write()
    assert await collected.scalars(pull_counts.c.pulls) == [3]

    counts.saw(found.repository, found.manifest, digest)
    await collected.collection.delete_repository(collected.actor, NAME)
    await counts.write()

    assert await collected.scalars(pull_counts.c.pulls) == []
    assert await collected.scalars(repositories.c.name) == []
    assert await collected.scalars(manifests.c.id) == []


async def test_known_pulls_are_counted_when_there_is_room_for_no_others(
    clocked: tuple[Collecting, SetClock],
) -> None:
    """Ten thousand different pulls wait at most; more of one that waits already are counted all the same."""
    registry, _ = clocked
    digest = await registry.image("v1")
    found = await registry.uses.pull_manifest.resolve(NAME, digest)
    assert found.repository is not None
    assert found.manifest is not None
    counts = registry.uses.count_pulls
    for number in range(10_001):
        counts.saw(found.repository, found.manifest, Tag(f"v{number}"))
    counts.saw(found.repository, found.manifest, Tag("v0"))

    await counts.write()

    assert len(await registry.scalars(pull_counts.c.tag)) == 10_000
    assert await registry.scalars(pull_counts.c.pulls, where=pull_counts.c.tag == "v0") == [2]


async def test_old_pulls_are_forgotten(collected: Collecting) -> None:
    """Counts go three months after the last pull, or as late as the settings may ask for them."""
    digest = await collected.image("v1")
    found = await collected.uses.pull_manifest.resolve(NAME, digest)
    assert found.repository is not None
    assert found.manifest is not None
    for reference in (Tag("v1"), digest):
        collected.uses.count_pulls.saw(found.repository, found.manifest, reference)
        await collected.uses.count_pulls.write()
        await collected.age(89 * DAY)
    assert await collected.collection_with(gc__pulled_within="200d").trim_pulls() == 0
    assert await collected.collection.trim_pulls() == 1
    assert await collected.scalars(pull_counts.c.tag) == [""]

    await collected.age(2 * DAY)

    assert await collected.collection.trim_pulls() == 1
    assert await collected.collection.trim_pulls() == 0


async def test_an_upload_goes_on_whatever_the_hosts_clock_says(clocked: tuple[Collecting, SetClock]) -> None:
    """A session outlives a clock that is set forward by more than its lifetime, and ends when it has really passed."""
    registry, clock = clocked
    session = await registry.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await registry.collect()
    clock.offset += 8 * DAY
    await registry.collect()

    await registry.uses.write_upload(ANONYMOUS, NAME, session, 0, body(b"all of it"))
    digest = Digest.of(b"all of it")
    await registry.uses.finish_upload(ANONYMOUS, NAME, session, digest, None, None)

    assert digest in await registry.blobs()


async def test_a_lease_is_compared_with_the_databases_time(collected: Collecting) -> None:
    """What is read for a pull says when that was, by the clock that made the lease."""
    blob, manifest = await collected.push_blob(b"a layer"), await collected.image()
    before = await collected.database.read(lambda tx: tx.now)
    found = await collected.uses.pull_blob.resolve(NAME, blob)
    found_manifest = await collected.uses.pull_manifest.resolve(NAME, manifest)
    after = await collected.database.read(lambda tx: tx.now)

    assert found.blob is not None
    assert found_manifest.manifest is not None
    assert before <= found.blob.seen_at <= found_manifest.manifest.seen_at <= after


async def test_one_read_serves_all_numbers_of_the_collection(collected: Collecting) -> None:
    """Gauges that are read together ask the database once."""
    reads = 0

    class CountingReads:
        """The database, counting."""

        async def read(self, unit: object) -> object:
            """Pass on."""
            nonlocal reads
            reads += 1
            return await collected.database.read(unit)  # type: ignore[arg-type]

    gauges = [gauge for gauge in gauges_of(CountingReads(), []) if gauge.name.startswith("entrepot_gc_")]  # type: ignore[arg-type]

    await asyncio.gather(*(gauge.read() for gauge in gauges))

    assert len(gauges) == 4
    assert reads == 1
