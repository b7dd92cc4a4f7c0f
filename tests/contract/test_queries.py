"""What the uses leave in the rows when many of them run at once, on both databases."""

import asyncio
import itertools
import json
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from entrepot.access import ANONYMOUS
from entrepot.compose import uses_of
from entrepot.metadata import (
    Database,
    StoredManifest,
    Transaction,
    count_open_sessions,
    count_uploads,
    find_manifest,
    find_repository,
    find_tag,
    linked_blobs,
    list_referrers,
    list_repositories,
    list_tags,
    mark_damaged,
    move_tag,
    open_database,
)
from entrepot.metadata.tables import (
    audit,
    blob_objects,
    blobs,
    dead_objects,
    manifest_blobs,
    manifests,
    repository_blobs,
    tag_history,
    upload_objects,
    upload_sessions,
)
from entrepot.oci import (
    Algorithm,
    BlobReferenced,
    BlobUnknown,
    Digest,
    ManifestConditionFailed,
    ManifestUnknown,
    RepositoryName,
    Tag,
)
from entrepot.registry import Condition, ManifestPush
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from entrepot.testing.blob_store import listed
from harness.protocol import EMPTY, image, index
from harness.uses import NAME, Registry

ACTOR = ANONYMOUS.actor
WAIT = 20.0  # seconds after which a test that hangs fails
A_MOMENT = 0.3  # seconds in which what can run does; what waits for a lock is still waiting then


@pytest.fixture
async def registry(url: str, tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry with an empty config blob in the repository."""
    config = tmp_path / "entrepot.toml"
    config.write_text("", encoding="utf-8")
    database, store = open_database(url), MemoryBlobStore()
    flags = {"data": str(tmp_path)}
    uses = uses_of(load_settings(flags, {}, config).settings, database, store)
    sparse = uses_of(
        load_settings({**flags, "manifests.missing_blobs": "accept"}, {}, config).settings, database, store
    )
    registry = Registry(uses, sparse, database, store)
    await registry.push_blob()
    yield registry
    await database.close()


class HeldMove:
    """A unit of work that moves a tag and waits before it commits."""

    def __init__(self, tag: str, to: Digest) -> None:
        self._tag = Tag(tag)
        self._to = to
        self._reached = threading.Event()
        self._free = threading.Event()

    def __call__(self, tx: Transaction) -> None:
        """Move the tag, and wait."""
        repository_id = _repository(tx)
        was = find_tag(tx, repository_id, self._tag, lock=True)
        assert was is not None
        move_tag(tx, repository_id, self._tag, _stored(tx, repository_id, self._to), was, ACTOR, timedelta(hours=1))
        self._reached.set()
        assert self._free.wait(WAIT)

    async def while_held(self, database: Database, other: Callable[[], Awaitable[Any]]) -> Any:
        """What ``other``, begun while the move is not committed, comes to once it is; its error counts as a value."""
        moving = asyncio.create_task(database.write(self))
        await asyncio.to_thread(self._reached.wait, WAIT)
        waiting = asyncio.ensure_future(other())
        await asyncio.wait({waiting}, timeout=A_MOMENT)
        self._free.set()
        await moving
        return (await asyncio.gather(waiting, return_exceptions=True))[0]


def _repository(tx: Transaction) -> int:
    repository_id = find_repository(tx, NAME)
    assert repository_id is not None
    return repository_id


def _stored(tx: Transaction, repository_id: int, digest: Digest) -> StoredManifest:
    stored = find_manifest(tx, repository_id, digest)
    assert stored is not None
    return stored


async def _stands(registry: Registry, tag: str) -> Digest | None:
    return await registry.database.read(lambda tx: find_tag(tx, _repository(tx), Tag(tag)))


async def _history(registry: Registry, tag: str) -> list[tuple[Digest | None, Digest | None]]:
    rows = await registry.scalars(
        tag_history.c.id, tag_history.c.from_digest, tag_history.c.to_digest, where=tag_history.c.tag == tag
    )
    return [(was, now) for _, was, now in rows]


async def test_a_tag_that_moves_at_the_same_time_can_be_deleted(registry: Registry) -> None:
    """Who waits for a tag that another push moves finds it where it went, not absent."""
    first, second = await registry.image("v1"), await registry.image()

    outcome = await HeldMove("v1", second).while_held(
        registry.database, lambda: registry.uses.delete_tag(ANONYMOUS, NAME, Tag("v1"))
    )

    assert outcome is None
    assert await _stands(registry, "v1") is None
    assert await _history(registry, "v1") == [(None, first), (first, second), (second, None)]


async def test_a_condition_is_checked_where_the_tag_went(registry: Registry) -> None:
    """``If-Match`` of a push that waited for another is held against what the other left."""
    _, second = await registry.image("v1"), await registry.image()
    third = image(annotations={"n": "third"})

    any_digest = await HeldMove("v1", second).while_held(
        registry.database, lambda: registry.push(third, "v1", condition=Condition(frozenset()))
    )

    assert any_digest == await _stands(registry, "v1")


async def test_a_push_and_a_deletion_of_one_manifest_take_turns(registry: Registry) -> None:
    """Pushed and deleted by many at once, a manifest is there or not, and its tag never stands on nothing."""
    manifest = image(annotations={"n": "contested"})
    digest = Digest.of(json.dumps(manifest).encode())

    async def one(number: int) -> Any:
        if number % 2:
            return await registry.push(manifest, f"v{number % 4}")
        return await registry.uses.delete_manifest(ANONYMOUS, NAME, digest)

    for _ in range(6):
        outcomes = await asyncio.gather(*map(one, range(12)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {Digest, type(None), ManifestUnknown}

    for tag in ("v1", "v3"):
        history = await _history(registry, tag)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(history))
        assert history[-1][1] == await _stands(registry, tag)


async def test_the_history_of_a_contested_tag_is_a_chain(registry: Registry) -> None:
    """Every move of a tag that many push and some delete begins where the one before it ended."""
    digests = [await registry.image() for _ in range(4)]
    contents = await registry.scalars(manifests.c.payload)

    async def one(number: int) -> None:
        if number % 7 == 3:
            await registry.uses.delete_tag(ANONYMOUS, NAME, Tag("latest"))
        else:
            content = contents[number * 5 % 4 - number % 3]
            push = ManifestPush(NAME, Tag("latest"), (), None, content, may_move_tags=True)
            await registry.uses.push_manifest(ANONYMOUS, push)

    outcomes = await asyncio.gather(*map(one, range(40)), return_exceptions=True)

    assert all(outcome is None or isinstance(outcome, ManifestUnknown) for outcome in outcomes)
    history = await _history(registry, "latest")
    assert history[0][0] is None
    assert all(before[1] == after[0] for before, after in itertools.pairwise(history))
    assert all(was != now for was, now in history)
    assert history[-1][1] == await _stands(registry, "latest")
    assert {now for _, now in history} <= {*digests, None}


async def test_pushes_of_the_same_tags_in_any_order_all_succeed(registry: Registry) -> None:
    """Several tags of one push move together, however many pushes name them in another order."""
    tags = ["a", "b", "c", "d"]

    async with asyncio.timeout(WAIT):
        digests = await asyncio.gather(*itertools.starmap(registry.image, itertools.permutations(tags)))

    stands = {await _stands(registry, tag) for tag in tags}
    assert len(stands) == 1
    assert stands <= set(digests)


async def test_of_many_that_create_a_manifest_one_wins(registry: Registry) -> None:
    """``If-None-Match: *`` on a push by digest without tags holds for the manifest, also at the same time."""
    manifest = image(annotations={"n": "once"})

    outcomes = await asyncio.gather(
        *(registry.push(manifest, condition=Condition(absent=True)) for _ in range(8)), return_exceptions=True
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Digest"] + ["ManifestConditionFailed"] * 7
    with pytest.raises(ManifestConditionFailed):
        await registry.push(image(annotations={"n": "absent"}), condition=Condition(frozenset()))


async def test_a_blob_that_comes_with_its_sparse_manifest_is_held(registry: Registry) -> None:
    """Where missing blobs are taken, a blob that is pushed at the same time ends up named by the manifest."""
    for number in range(15):
        content = f"layer {number}".encode()
        await asyncio.gather(
            registry.push(image(content), f"v{number}", uses=registry.sparse), registry.push_blob(content)
        )

    assert await registry.scalars(manifest_blobs.c.digest, where=manifest_blobs.c.blob_id.is_(None)) == []
    with pytest.raises(BlobReferenced):
        await registry.uses.delete_blob(ANONYMOUS, NAME, Digest.of(b"layer 0"))


async def test_a_blob_that_is_deleted_while_a_manifest_comes(registry: Registry) -> None:
    """Either the manifest is refused or the deletion is, and then the manifest is named."""
    for number in range(15):
        content = f"layer {number}".encode()
        blob = await registry.push_blob(content)
        pushed, deleted = await asyncio.gather(
            registry.push(image(content)),
            registry.uses.delete_blob(ANONYMOUS, NAME, blob),
            return_exceptions=True,
        )
        if deleted is None:
            assert not isinstance(pushed, Digest)
        else:
            assert isinstance(deleted, BlobReferenced)
            assert deleted.detail["manifests"] == [str(pushed)]


async def test_one_blob_is_stored_once(registry: Registry) -> None:
    """Content that many push at once to several repositories has one row, one object, and a link to each."""
    names = [RepositoryName(f"r{number}") for number in range(4)]
    content = secrets.token_bytes(1000)

    await asyncio.gather(*(registry.push_blob(content, name) for name in names * 4))

    digest = Digest.of(content)
    [blob_id] = await registry.scalars(blobs.c.id, where=blobs.c.digest == digest)
    [(key, size)] = await registry.scalars(
        blob_objects.c.key, blob_objects.c.size, where=blob_objects.c.blob_id == blob_id
    )
    assert size == len(content)
    assert (
        len(await registry.scalars(repository_blobs.c.repository_id, where=repository_blobs.c.blob_id == blob_id)) == 4
    )
    assert await registry.scalars(upload_objects.c.key) == []
    dead = await registry.scalars(dead_objects.c.key)
    assert {*await listed(registry.store)} - {*dead} == {key, *await registry.scalars(blob_objects.c.key)}


async def test_a_damaged_blob_is_not_mounted_but_mended(registry: Registry) -> None:
    """Who would mount a damaged blob uploads it instead, and the upload takes the place of the lost bytes."""
    content = b"to be lost"
    digest = await registry.push_blob(content)
    [(blob_id, _)] = await registry.scalars(blobs.c.id, blobs.c.digest, where=blobs.c.digest == digest)
    (key,) = await registry.scalars(blob_objects.c.key, where=blob_objects.c.blob_id == blob_id)
    await registry.database.write(lambda tx: mark_damaged(tx, blob_id, key))
    target = RepositoryName("target")

    assert not await registry.uses.mount_blob.from_repository(ANONYMOUS, target, digest, NAME)
    await registry.push_blob(content, target)

    assert await registry.uses.mount_blob.from_repository(ANONYMOUS, RepositoryName("third"), digest, NAME)
    # A reader that had met the loss before is late: what it missed is no part of the blob any more.
    await registry.database.write(lambda tx: mark_damaged(tx, blob_id, key))
    assert await registry.scalars(blobs.c.state, where=blobs.c.digest == digest) == ["stored"]
    assert len(await registry.scalars(blob_objects.c.key, where=blob_objects.c.blob_id == blob_id)) == 1


async def test_expired_sessions_are_not_open(registry: Registry) -> None:
    """Sessions that were left behind do not count against their principal for ever."""
    for _ in range(3):
        await registry.uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)

    def count(tx: Transaction) -> tuple[int, int]:
        return count_open_sessions(tx, ANONYMOUS.id, 2), count_uploads(tx)

    assert await registry.database.read(count) == (2, 3)

    await registry.database.write(
        lambda tx: tx.execute(update(upload_sessions).values(expires_at=tx.now - timedelta(seconds=1))).rowcount
    )

    assert await registry.database.read(count) == (0, 0)


async def test_a_fallback_tag_lists_what_it_stands_on(registry: Registry) -> None:
    """Referrers under a fallback tag go when the tag moves to what is no index, and come back with an index."""
    subject, referrer = Digest.of(b"subject"), await registry.image()
    tag = f"sha256-{subject.encoded}"
    [size] = await registry.scalars(manifests.c.size, where=manifests.c.digest == referrer)
    listing = index({"mediaType": image()["mediaType"], "digest": str(referrer), "size": size})

    async def referrers() -> list[Digest]:
        page = await registry.uses.list_referrers(NAME, subject, None, None)
        return [found.digest for found in page.items]

    await registry.push(listing, tag)
    assert await referrers() == [referrer]
    await registry.push(image(), tag)
    assert await referrers() == []
    await registry.push(listing, tag)
    assert await referrers() == [referrer]


async def test_referrers_are_listed_in_bounded_memory(registry: Registry) -> None:
    """A page ends where annotations together would be too long, never before its first entry; pages join up."""
    subject = await registry.image()
    named = {"mediaType": image()["mediaType"], "digest": str(subject), "size": 1}
    pushed = {
        await registry.push(image(subject=named, annotations={"a": str(number) + "x" * 1000})) for number in range(7)
    }

    async def page(last: Digest | None, characters: int) -> tuple[list[Digest], bool]:
        found, more = await registry.database.read(
            lambda tx: list_referrers(tx, _repository(tx), subject, None, last, 5, characters)
        )
        return [descriptor.digest for descriptor in found], more

    assert await page(None, 10**6) == (sorted(pushed)[:5], True)
    assert await page(None, 2500) == (sorted(pushed)[:2], True)
    assert await page(None, 1) == (sorted(pushed)[:1], True)
    assert await page(sorted(pushed)[4], 10**6) == (sorted(pushed)[5:], False)


@pytest.mark.parametrize("artifact_type", ["\0", "a\0b/c", "no type", "\N{ARABIC-INDIC DIGIT ZERO}/x"])
async def test_what_is_no_media_type_filters_everything_out(registry: Registry, artifact_type: str) -> None:
    """A filter that no database can compare is no error."""
    page = await registry.uses.list_referrers(NAME, Digest.of(b"subject"), artifact_type, None)

    assert (page.items, page.more) == ([], False)


async def test_lists_are_in_the_order_of_bytes(registry: Registry) -> None:
    """Names and tags sort by their bytes on every database, and ``last`` cuts in that order."""
    tags = ["B", "_", "a", "A", "a-b", "a.b", "a_b", "a0", "ab"]
    await registry.image(*tags)
    names = ["a", "a-b", "a.b", "a/b", "a_b", "a0", "ab"]
    for name in names:
        await registry.push_blob(b"x", RepositoryName(name))

    found = await registry.database.read(lambda tx: list_tags(tx, _repository(tx), "a-b", 100))
    repositories = await registry.database.read(lambda tx: list_repositories(tx, "", 100))

    assert [tag.text for tag in found] == [tag for tag in sorted(tags) if tag > "a-b"]
    assert [name.text for name in repositories] == sorted([*names, NAME.text])


async def test_what_a_deleted_manifest_named_stays_for_a_lease(registry: Registry) -> None:
    """The links of a manifest that goes live on for at least a lease, and its deletion is on record."""
    digest = await registry.image("v1", "v2")
    long_ago = select(func.min(repository_blobs.c.linked_at)).scalar_subquery()
    await registry.database.write(lambda tx: tx.execute(update(repository_blobs).values(lease_until=long_ago)).rowcount)

    await registry.uses.delete_manifest(ANONYMOUS, NAME, digest)

    now = await registry.database.read(lambda tx: tx.now)
    assert all(until > now + timedelta(hours=23) for until in await registry.scalars(repository_blobs.c.lease_until))
    assert await registry.scalars(audit.c.action, audit.c.reference) == [("manifest.delete", str(digest))]
    assert [now for _, now in await _history(registry, "v1")] == [digest, None]


async def test_looking_at_content_renews_only_what_nothing_names(registry: Registry) -> None:
    """A pusher's question about a blob or manifest with a short lease prolongs it, if nothing else keeps it."""
    loose, held = await registry.push_blob(b"loose"), Digest.of(EMPTY)
    untagged, tagged = await registry.image(), await registry.image("v1")
    await registry.database.write(
        lambda tx: (
            tx.execute(update(repository_blobs).values(lease_until=tx.now + timedelta(minutes=1))).rowcount
            + tx.execute(update(manifests).values(lease_until=tx.now + timedelta(minutes=1))).rowcount
        )
    )

    for digest in (loose, held):
        found = await registry.uses.pull_blob.resolve(NAME, digest)
        assert found.repository is not None
        assert found.blob is not None
        await registry.uses.pull_blob.keep(found.repository, found.blob)
    for digest in (untagged, tagged):
        manifest = (await registry.uses.pull_manifest.resolve(NAME, digest)).manifest
        assert manifest is not None
        await registry.uses.pull_manifest.keep(manifest)

    now = await registry.database.read(lambda tx: tx.now)
    links = await registry.scalars(
        blobs.c.digest, repository_blobs.c.lease_until, where=blobs.c.id == repository_blobs.c.blob_id
    )
    assert {digest for digest, until in links if until > now + timedelta(hours=1)} == {loose}
    rows = await registry.scalars(manifests.c.digest, manifests.c.lease_until)
    assert {digest for digest, until in rows if until > now + timedelta(hours=1)} == {untagged}


async def test_a_look_at_a_child_of_an_index_extends_its_lease(registry: Registry) -> None:
    """What a pusher is shown stays, also if the index that names it goes; a tag makes a lease needless."""
    child = await registry.image()
    [size] = await registry.scalars(manifests.c.size, where=manifests.c.digest == child)
    await registry.push(index({"mediaType": image()["mediaType"], "digest": str(child), "size": size}))
    manifest = (await registry.uses.pull_manifest.resolve(NAME, child)).manifest
    assert manifest is not None
    await registry.database.write(lambda tx: tx.execute(update(manifests).values(lease_until=tx.now)).rowcount)
    stale = (await registry.uses.pull_manifest.resolve(NAME, child)).manifest
    assert stale is not None

    await registry.uses.pull_manifest.keep(stale)

    extended = (await registry.uses.pull_manifest.resolve(NAME, child)).manifest
    assert extended is not None
    assert extended.lease_until > stale.lease_until


async def test_blobs_are_found_in_one_repository_only(registry: Registry) -> None:
    """A blob of another repository is neither linked nor deletable here, however many are asked about."""
    await registry.push_blob(b"elsewhere", RepositoryName("other"))
    digests = [Digest.of(str(number).encode()) for number in range(1200)]

    def unit(tx: Transaction) -> set[Digest]:
        return {*linked_blobs(tx, _repository(tx), [Digest.of(b"elsewhere"), Digest.of(EMPTY), *digests])}

    assert await registry.database.read(unit) == {Digest.of(EMPTY)}
    with pytest.raises(BlobUnknown):
        await registry.uses.delete_blob(ANONYMOUS, NAME, Digest.of(b"elsewhere"))


async def test_many_new_repositories_of_one_name_are_one(registry: Registry) -> None:
    """First pushes to a repository at the same time all go into the same one."""
    name = RepositoryName("brand/new")

    await asyncio.gather(*(registry.push_blob(str(number).encode(), name) for number in range(12)))

    names = await registry.database.read(lambda tx: list_repositories(tx, "", 100))
    assert names.count(name) == 1
