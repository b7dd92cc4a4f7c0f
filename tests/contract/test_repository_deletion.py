"""Deleting a whole repository, on both databases."""

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from entrepot.access import ANONYMOUS
from entrepot.metadata import Transaction, create_tag, store_manifest
from entrepot.metadata.tables import (
    audit,
    dead_objects,
    fallback_referrers,
    pins,
    pull_counts,
    repositories,
    tag_history,
    tags,
    upload_objects,
    upload_sessions,
)
from entrepot.oci import (
    Algorithm,
    BlobUploadUnknown,
    Digest,
    NameUnknown,
    RepositoryName,
    Tag,
    Unavailable,
    parse_manifest,
)
from harness.collecting import Collecting, change
from harness.protocol import EMPTY, image, index
from harness.uses import NAME, body

CONFIG = Digest.of(EMPTY)
OTHER = RepositoryName("other")
LAYER = b"a layer of its own"
WAIT = 20.0  # seconds after which a test that hangs fails
A_MOMENT = 0.3  # seconds in which what can run does
SHARED = b"a layer that two repositories have"


class Crash(Exception):
    """The process ends here."""


class Crashing:
    """A database whose process dies after so many commits."""

    def __init__(self, registry: Collecting, commits: int) -> None:
        self._database = registry.database
        self._left = commits

    async def read(self, unit: object) -> object:
        """Pass on."""
        return await self._database.read(unit)  # type: ignore[arg-type]

    async def write(self, unit: object) -> object:
        """Commit, or die before it."""
        if not self._left:
            raise Crash
        self._left -= 1
        return await self._database.write(unit)  # type: ignore[arg-type]


class Counting:
    """A database that counts the rows which each commit removes from a repository."""

    def __init__(self, registry: Collecting) -> None:
        self._database = registry.database
        self.removed: list[int] = []

    async def read(self, unit: object) -> object:
        """Pass on."""
        return await self._database.read(unit)  # type: ignore[arg-type]

    async def write(self, unit: Callable[[Transaction], object]) -> object:
        """Pass on, counting before and after."""

        def counted(tx: Transaction) -> object:
            before = self._rows(tx)
            outcome = unit(tx)
            self.removed.append(before - self._rows(tx))
            return outcome

        return await self._database.write(counted)

    def _rows(self, tx: Transaction) -> int:
        return sum(
            tx.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (tags, tag_history, pins, pull_counts)
        )


async def fill(registry: Collecting) -> None:
    """A repository with images, an index, a referrer, an upload, and a layer that another repository has too."""
    await registry.push_blob(SHARED)
    own = await registry.blob_image("v1", "v2", content=LAYER)
    await registry.blob_image("shared", content=SHARED)
    await registry.push(index(await registry.descriptor_of(own)), "index")
    await registry.referrer(own, f"sha256-{own.encoded}.sig")
    session = await registry.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await registry.uses.write_upload(ANONYMOUS, NAME, session, 0, body(b"half of it"))
    await registry.blob_image("v1", content=SHARED, name=OTHER)


async def is_gone(registry: Collecting) -> None:
    """Nothing of the repository is left, and the other one is whole."""
    assert await registry.scalars(repositories.c.name) == [OTHER.text]
    for table in (tag_history, fallback_referrers, pull_counts, upload_sessions):
        assert await registry.scalars(table.c.repository_id, where=table.c.repository_id == 1) == []
    await registry.collect_all()
    assert await registry.blobs() == {CONFIG, Digest.of(SHARED)}
    assert len(await registry.objects()) == 2
    found = await registry.uses.pull_blob.resolve(OTHER, Digest.of(SHARED))
    assert found.blob is not None
    chunks = [chunk async for chunk in registry.uses.pull_blob.read(OTHER, found.blob, 0, len(SHARED))]
    assert b"".join(chunks) == SHARED


async def test_the_plan_is_what_goes(collected: Collecting) -> None:
    """A plan changes nothing and says what goes; then all goes but what other repositories have."""
    await fill(collected)
    planned = await collected.collection.delete_repository.plan(NAME)
    assert planned == await collected.collection.delete_repository.plan(NAME)
    content = planned.content
    assert (content.tags, content.manifests, content.blobs) == (5, 4, 3)
    assert (content.size, content.own_size) == (len(EMPTY) + len(LAYER) + len(SHARED), len(LAYER))

    assert await collected.collection.delete_repository(collected.actor, NAME) == planned

    assert await collected.scalars(
        audit.c.action, audit.c.repository, audit.c.actor_kind, where=audit.c.action == "repository.delete"
    ) == [("repository.delete", NAME.text, "operator")]
    await is_gone(collected)


async def test_what_is_not_there_cannot_be_deleted(collected: Collecting) -> None:
    """A deletion of an unknown repository is refused, and so is a second one."""
    with pytest.raises(NameUnknown):
        await collected.collection.delete_repository(collected.actor, OTHER)
    await collected.collection.delete_repository(collected.actor, NAME)
    with pytest.raises(NameUnknown):
        await collected.collection.delete_repository(collected.actor, NAME)


@pytest.mark.parametrize("commits", range(1, 11))
async def test_a_deletion_goes_on_after_a_crash(collected: Collecting, commits: int) -> None:
    """After a crash at any step nobody can push or pull, and the same deletion ends what the first one began."""
    await fill(collected)
    unfinished = type(collected.collection.delete_repository)(Crashing(collected, commits))  # type: ignore[arg-type]
    with pytest.raises(Crash):
        await unfinished(collected.actor, NAME)

    assert (await collected.uses.pull_blob.resolve(NAME, CONFIG)).repository is None
    with pytest.raises(NameUnknown):
        await collected.uses.list_tags(NAME, "", 10)
    with pytest.raises(Unavailable):
        await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    with pytest.raises(Unavailable):
        await collected.push(image(), "v1")
    with pytest.raises(Unavailable):
        await collected.uses.mount_blob.from_repository(ANONYMOUS, NAME, CONFIG, OTHER)
    assert not await collected.uses.mount_blob.from_repository(ANONYMOUS, OTHER, Digest.of(LAYER), NAME)
    await collected.collection.delete_repository(collected.actor, NAME)

    await is_gone(collected)


async def test_a_large_repository_goes_in_small_steps(collected: Collecting) -> None:
    """However many tags, moves, pins, pulls and uploads there are, no commit removes more than a thousand rows."""
    digest = await collected.image("v1")
    many = range(2500)

    def fill_up(tx: Transaction) -> None:
        actor = {f"actor_{part}": "" for part in ("kind", "id", "name")}
        pinned_by = {f"pinned_by_{part}": "" for part in ("kind", "id", "name")}
        place = {"repository_id": 1, "manifest_id": 1, "version": 1, "created_at": tx.now, "moved_at": tx.now}
        tx.execute(insert(tags), [{**place, "name": f"t{number}"} for number in many])
        tx.execute(
            insert(tag_history), [{"repository_id": 1, "tag": f"t{number}", "at": tx.now, **actor} for number in many]
        )
        pin = {"repository_id": 1, "digest": digest, "reason": "", "pinned_at": tx.now, **pinned_by}
        tx.execute(insert(pins), [{**pin, "uid": str(number)} for number in many])
        pull = {"repository_id": 1, "digest": digest, "bucket": tx.now, "pulls": 1, "last_at": tx.now}
        tx.execute(insert(pull_counts), [{**pull, "tag": f"t{number}"} for number in many])

    await collected.database.write(fill_up)
    counting = Counting(collected)
    deletion = type(collected.collection.delete_repository)(counting)  # type: ignore[arg-type]

    await deletion(collected.actor, NAME)

    assert await collected.scalars(repositories.c.name) == []
    assert 500 < max(counting.removed) <= 1000


async def test_an_upload_ends_with_its_repository(collected: Collecting) -> None:
    """A session of a repository that is deleted meanwhile is unknown, and its bytes go."""
    session = await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await collected.collection.delete_repository(collected.actor, NAME)
    content = b"too late"
    with pytest.raises(BlobUploadUnknown):
        await collected.uses.finish_upload(ANONYMOUS, NAME, session, Digest.of(content), None, body(content))
    await collected.collect_all()
    assert await collected.objects() == []


async def test_a_late_writer_leaves_nothing_behind(collected: Collecting) -> None:
    """The object of an upload that somebody is writing to stays on record until that must have ended."""
    session = await collected.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
    await collected.uses.write_upload(ANONYMOUS, NAME, session, 0, body(b"half of it"))
    await change(collected, upload_sessions, writing=True)
    [key] = await collected.scalars(upload_objects.c.key)

    await collected.collection.delete_repository(collected.actor, NAME)
    await collected.collect()

    assert key in await collected.objects()
    assert key in await collected.scalars(dead_objects.c.key)
    await collected.age(timedelta(hours=1))
    await collected.collect()
    assert key not in await collected.objects()


async def test_a_push_that_ends_last_stops_no_deletion(collected: Collecting) -> None:
    """A push that is not committed when the repository is hidden is waited for, and what it brought goes too."""
    reached, free = threading.Event(), threading.Event()

    def unit(tx: Transaction) -> None:
        digest = Digest.of(b"{}")
        manifest = parse_manifest(json.dumps(image()).encode(), None)
        stored = store_manifest(tx, 1, digest, b"{}", manifest, {CONFIG: 1}, collected.actor, timedelta(0))
        create_tag(tx, 1, Tag("late"), stored, collected.actor)
        reached.set()
        assert free.wait(WAIT)

    pushing = asyncio.create_task(collected.database.write(unit))
    await asyncio.to_thread(reached.wait, WAIT)
    deleting = asyncio.create_task(collected.collection.delete_repository(collected.actor, NAME))
    await asyncio.wait({deleting}, timeout=A_MOMENT)
    free.set()
    await pushing
    await deleting

    assert await collected.scalars(repositories.c.name) == []
    assert await collected.manifests() == set()


async def test_pushes_that_had_begun_stop_no_deletion(collected: Collecting) -> None:
    """Pushed to by many while it is deleted, a repository is gone in the end, or new and whole."""

    async def push(number: int) -> None:
        try:
            await collected.push(image(annotations={"n": str(number)}), f"v{number % 3}")
        except Exception as error:
            refused = isinstance(error, Unavailable) or type(error).__name__ == "ManifestBlobUnknown"
            if not refused:
                raise

    outcomes = await asyncio.gather(
        *map(push, range(20)), collected.collection.delete_repository(collected.actor, NAME), *map(push, range(20, 40))
    )

    assert len(outcomes) == 41

    def left(tx: Transaction) -> int:
        return tx.execute(select(func.count()).select_from(repositories)).scalar_one()

    assert await collected.database.read(left) <= 1
    await collected.collect_all()
