"""Which events have what reviewed, on both databases."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.access import ANONYMOUS
from entrepot.metadata import Event, Key, Queue, find_unqueued
from entrepot.metadata.tables import link_reviews, manifest_reviews, manifests, repository_blobs
from entrepot.oci import Digest, ManifestBlobUnknown, RepositoryName
from harness.collecting import Collecting, change
from harness.protocol import EMPTY, image, index
from harness.uses import NAME

CONFIG = Digest.of(EMPTY)
LAYER = b"a layer"
OTHER = RepositoryName("other")
DAY = timedelta(days=1)


async def test_an_uploaded_blob_is_reviewed(collected: Collecting) -> None:
    """An upload has the link of its blob reviewed, and one of a blob that is there too."""
    await collected.clear_queues()
    digest = await collected.push_blob(LAYER)
    assert await collected.queued() == {(NAME.text, digest): Event.LINKED}
    await collected.clear_queues()
    await collected.push_blob(LAYER)
    assert await collected.queued() == {(NAME.text, digest): Event.LINKED}


async def test_a_mounted_blob_is_reviewed(collected: Collecting) -> None:
    """A mount has the new link reviewed and no other."""
    await collected.clear_queues()
    assert await collected.uses.mount_blob.from_repository(ANONYMOUS, OTHER, CONFIG, NAME)
    assert await collected.queued() == {(OTHER.text, CONFIG): Event.LINKED}


async def test_a_manifest_without_a_tag_is_reviewed(collected: Collecting) -> None:
    """A push by digest has the manifest reviewed, one with a tag does not: moving the tag will."""
    await collected.clear_queues()
    digest = await collected.image()
    assert await collected.queued() == {("manifest", digest): Event.PUSHED}
    await collected.clear_queues()
    await collected.image("v1", "v2")
    assert await collected.queued() == {}


async def test_what_a_tag_leaves_is_reviewed(collected: Collecting) -> None:
    """A tag that moves has the manifest reviewed on which it stood; one that is set again where it stands does not."""
    first = await collected.push(image(), "v1")
    await collected.clear_queues()
    await collected.push(image(), "v1")
    assert await collected.queued() == {}
    await collected.image("v1")
    assert await collected.queued() == {("manifest", first): Event.TAG_GONE}


async def test_what_a_deleted_tag_stood_on_is_reviewed(collected: Collecting) -> None:
    """A deleted tag has its manifest reviewed, which stays for at least a lease."""
    digest = await collected.image("v1")
    await collected.clear_queues()
    await collected.age(2 * DAY)
    await collected.delete_tag("v1")
    assert await collected.queued() == {("manifest", digest): Event.TAG_GONE}
    now = await collected.database.read(lambda tx: tx.now)
    [lease_until] = await collected.scalars(manifests.c.lease_until)
    assert lease_until > now + DAY - timedelta(hours=1)


async def test_a_deleted_manifest_has_its_neighbours_reviewed(collected: Collecting) -> None:
    """Links, children, referrers and subject of a deleted manifest are reviewed, and kept for a lease."""
    subject, child = await collected.image("subject"), await collected.image("child")
    layer = await collected.push_blob(LAYER)
    parent = await collected.push(
        index(
            await collected.descriptor_of(child),
            {"mediaType": "application/vnd.example.cache", "digest": str(layer), "size": len(LAYER)},
            subject=await collected.descriptor_of(subject),
        ),
        "parent",
    )
    referrer = await collected.push(
        image(subject={**await collected.descriptor_of(parent), "mediaType": "application/vnd.oci.image.index.v1+json"})
    )
    await collected.age(2 * DAY)
    await collected.clear_queues()

    await collected.uses.delete_manifest(ANONYMOUS, NAME, parent)

    assert await collected.queued() == {
        ("manifest", subject): Event.REFERRER_GONE,
        ("manifest", child): Event.PARENT_GONE,
        ("manifest", referrer): Event.SUBJECT_GONE,
        (NAME.text, layer): Event.MANIFEST_GONE,
    }
    now = await collected.database.read(lambda tx: tx.now)
    leases = await collected.scalars(manifests.c.digest, manifests.c.lease_until)
    assert {digest for digest, until in leases if until > now + DAY - timedelta(hours=1)} == {subject, child, referrer}
    links = await collected.scalars(repository_blobs.c.lease_until)
    assert sorted(until > now for until in links) == [False, True]


async def test_config_and_layers_of_a_deleted_image_are_reviewed(collected: Collecting) -> None:
    """The links of everything that an image names are reviewed when it is deleted."""
    digest = await collected.blob_image("v1", content=LAYER)
    await collected.clear_queues()

    await collected.uses.delete_manifest(ANONYMOUS, NAME, digest)

    assert await collected.queued() == {
        (NAME.text, CONFIG): Event.MANIFEST_GONE,
        (NAME.text, Digest.of(LAYER)): Event.MANIFEST_GONE,
    }


@pytest.mark.parametrize("way", ["tag", "manifest"])
async def test_what_a_chain_of_referrers_kept_is_reviewed(collected: Collecting, way: str) -> None:
    """When the tag at the end of a chain goes, every subject below it is reviewed."""
    image_ = await collected.image()
    signature = await collected.referrer(image_)
    statement = await collected.referrer(signature, "kept")
    await collected.clear_queues()

    if way == "tag":
        await collected.delete_tag("kept")
        expected: dict[Any, Event] = {("manifest", statement): Event.TAG_GONE}
    else:
        await collected.uses.delete_manifest(ANONYMOUS, NAME, statement)
        expected = {(NAME.text, CONFIG): Event.MANIFEST_GONE}

    assert await collected.queued() == {
        **expected,
        ("manifest", signature): Event.REFERRER_GONE,
        ("manifest", image_): Event.REFERRER_GONE,
    }


async def test_a_deleted_blob_is_reviewed(collected: Collecting) -> None:
    """A blob that is taken out of a repository is reviewed, and knows which one gave it up."""
    digest = await collected.push_blob(LAYER)
    await collected.uses.mount_blob.from_repository(ANONYMOUS, OTHER, digest, NAME)
    await collected.clear_queues()

    await collected.uses.delete_blob(ANONYMOUS, NAME, digest)
    assert await collected.queued() == {("blob", digest, NAME.text): Event.LINK_GONE}
    await collected.uses.delete_blob(ANONYMOUS, OTHER, digest)
    assert await collected.queued() == {("blob", digest, OTHER.text): Event.LINK_GONE}


async def test_each_event_postpones_the_review(collected: Collecting) -> None:
    """What was about to be reviewed waits anew after each event, and an earlier failure is forgotten."""
    manifest = image(annotations={"n": "again"})
    digest = await collected.push(manifest)
    await collected.push_blob(LAYER)
    await collected.age(3 * DAY)
    for table in (manifest_reviews, link_reviews):
        await change(collected, table, attempts=3, last_error="something")
    before = await collected.database.read(lambda tx: tx.now)

    assert await collected.push(manifest) == digest
    await collected.push_blob(LAYER)

    columns = ("event_at", "waits_from", "attempts", "last_error")
    for table, chosen in (
        (manifest_reviews, select(manifests.c.id).where(manifests.c.digest == digest).scalar_subquery()),
        (link_reviews, select(repository_blobs.c.blob_id).order_by(repository_blobs.c.blob_id.desc()).limit(1)),
    ):
        key = list(table.primary_key)[-1]
        where = key == (chosen if table is manifest_reviews else chosen.scalar_subquery())
        [row] = await collected.scalars(*(table.c[name] for name in columns), where=where)
        assert row[0] >= before
        assert row[0] == row[1]
        assert row[2:] == (0, None)


async def test_a_refused_push_queues_nothing(collected: Collecting) -> None:
    """What a refused request would have queued is undone with it."""
    digest = await collected.image("v1")
    await collected.clear_queues()

    with pytest.raises(ManifestBlobUnknown):
        await collected.push(image(b"not there"), "v1")

    assert await collected.queued() == {}
    assert await collected.manifests() == {digest}


async def test_what_no_event_has_queued_is_found(collected: Collecting) -> None:
    """After events that were missed, a search queues all that nothing refers to, which then goes to the last byte."""
    child = await collected.blob_image(content=LAYER)
    kept = await collected.push(index(await collected.descriptor_of(child)), "kept")
    signature = await collected.referrer(kept)
    untagged = await collected.blob_image(content=b"a layer of something without tag")
    loose = await collected.push_blob(b"loose")
    await collected.uses.mount_blob.from_repository(ANONYMOUS, OTHER, loose, NAME)
    await collected.uses.delete_blob(ANONYMOUS, OTHER, loose)
    given_up = await collected.push_blob(b"given up")
    await collected.uses.delete_blob(ANONYMOUS, NAME, given_up)
    await collected.clear_queues()

    found = await collected.collection.queue_unqueued()

    assert await collected.queued() == {
        ("manifest", untagged): Event.FOUND,
        (NAME.text, loose): Event.FOUND,
        ("blob", given_up, ""): Event.FOUND,
    }
    assert set(found.values()) == {1}
    assert set((await collected.collection.queue_unqueued()).values()) == {0}
    await collected.collect_all()
    assert await collected.manifests() == {child, kept, signature}
    assert await collected.blobs() == {CONFIG, Digest.of(LAYER)}
    assert len(await collected.objects()) == 2


async def test_a_search_leaves_what_is_queued_as_it_is(collected: Collecting) -> None:
    """What waits goes on waiting from when it did."""
    await collected.image()
    await collected.push_blob(b"loose")
    await collected.age(DAY)
    before = await collected.scalars(manifest_reviews.c.event, manifest_reviews.c.waits_from)

    assert set((await collected.collection.queue_unqueued()).values()) == {0}

    assert await collected.scalars(manifest_reviews.c.event, manifest_reviews.c.waits_from) == before


@pytest.mark.parametrize("at_most", [1, 2, 5])
async def test_a_search_goes_on_where_it_was(collected: Collecting, at_most: int) -> None:
    """In small batches a search finds each row once."""
    for number in range(5):
        name = RepositoryName(f"name{number}")
        await collected.blob_image(content=f"layer {number}".encode(), name=name)
        await collected.push_blob(f"loose {number}".encode(), name)
    await collected.clear_queues()
    for queue in (Queue.MANIFESTS, Queue.LINKS):
        found: list[Key] = []
        last: Key | None = None
        while True:
            last, keys = await collected.database.read(partial(find_unqueued, queue=queue, after=last, at_most=at_most))
            found += keys
            if last is None:
                break
        assert len(found) == len(set(found)) == 5 + (queue is Queue.LINKS) * 1
