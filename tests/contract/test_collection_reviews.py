"""What the collection takes and what it leaves, on both databases."""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from entrepot.access import ANONYMOUS
from entrepot.lifecycle import Outcome, Reason
from entrepot.metadata import PARKED, Transaction
from entrepot.metadata.tables import (
    audit,
    dead_objects,
    manifest_reviews,
    manifests,
    pins,
    pull_counts,
    reclaimed,
    repository_blobs,
)
from entrepot.oci import Digest, RepositoryName, Tag
from harness.collecting import Collecting, change
from harness.protocol import EMPTY, image, index
from harness.uses import NAME

CONFIG = Digest.of(EMPTY)
LAYER = b"a layer"
OTHER = RepositoryName("other")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
UNTAGGED_AFTER = 14 * DAY  # and after the last pull; the settings' defaults, as is a day for lease and review


async def pin(registry: Collecting, digest: Digest, expires_at: datetime | None) -> None:
    """Pin a manifest."""

    def unit(tx: Transaction) -> None:
        actor = {"pinned_by_kind": "user", "pinned_by_id": "1", "pinned_by_name": "somebody"}
        row = {"uid": secrets.token_hex(8), "repository_id": 1, "digest": digest, "reason": "", "pinned_at": tx.now}
        tx.execute(insert(pins).values(**row, expires_at=expires_at, **actor))

    await registry.database.write(unit)


async def verdict_on(registry: Collecting, digest: Digest) -> tuple[Outcome, Reason]:
    """What the plan says of something that waits for a review."""
    planned = await registry.collection.plan(1000, due_only=False)
    [verdict] = {replace(entry.verdict, until=None) for entry in planned if entry.digest == str(digest)}
    return verdict.outcome, verdict.reason


async def test_what_nothing_needs_goes_to_the_last_byte(collected: Collecting) -> None:
    """An image without tag goes with its layer's link, row and bytes; one that has a tag stays whole."""
    kept = await collected.blob_image("kept", content=b"a layer that stays")
    gone = await collected.blob_image("gone", content=LAYER)
    await collected.collect_all()
    assert await collected.manifests() == {kept, gone}
    await collected.delete_tag("gone")

    await collected.collect_all()

    assert await collected.manifests() == {kept}
    assert await collected.blobs() == {CONFIG, Digest.of(b"a layer that stays")}
    assert len(await collected.objects()) == 2
    assert await collected.queued() == {}
    assert await collected.scalars(dead_objects.c.key) == []
    assert await collected.scalars(reclaimed.c.repository, reclaimed.c.bytes, reclaimed.c.objects) == [
        (NAME.text, len(LAYER), 1)
    ]
    assert await collected.scalars(
        audit.c.action, audit.c.actor_name, audit.c.reference, where=audit.c.action == "manifest.collect"
    ) == [("manifest.collect", "collector", str(gone))]


async def test_nothing_goes_before_its_time(collected: Collecting) -> None:
    """A manifest waits for its fortnight, then its links for a lease and a day, the blob a day, the bytes an hour."""
    digest = await collected.blob_image(content=LAYER)
    for wait, left in (
        (UNTAGGED_AFTER - HOUR, (1, 2, 2, 2)),
        (HOUR, (0, 2, 2, 2)),
        (DAY - HOUR, (0, 2, 2, 2)),
        (HOUR, (0, 0, 2, 2)),
        (DAY - HOUR, (0, 0, 2, 2)),
        (HOUR, (0, 0, 0, 2)),
        (HOUR / 2, (0, 0, 0, 2)),
        (HOUR, (0, 0, 0, 0)),
    ):
        await collected.age(wait)
        await collected.collect()
        links = await collected.scalars(repository_blobs.c.blob_id)
        found = (len(await collected.manifests()), len(links), len(await collected.blobs()))
        assert (*found, len(await collected.objects())) == left
    assert digest not in await collected.manifests()


async def test_leases_are_honoured(collected: Collecting) -> None:
    """Links and manifests with a lease are reviewed again when it ends, not earlier and not never."""
    blob, manifest = await collected.push_blob(LAYER), await collected.image()
    now = await collected.database.read(lambda tx: tx.now)
    await change(collected, repository_blobs, lease_until=now + 50 * DAY)
    await change(collected, manifests, lease_until=now + 50 * DAY)

    for _ in range(2):
        await collected.age(20 * DAY)
        await collected.collect()
        assert await verdict_on(collected, blob) == (Outcome.WAIT, Reason.LEASE)
        assert await verdict_on(collected, manifest) == (Outcome.WAIT, Reason.LEASE)
    await collected.age(10 * DAY)
    await collected.collect()

    assert await collected.manifests() == set()
    assert await collected.scalars(repository_blobs.c.blob_id) == [1]  # the config, for the lease that the image left


async def test_a_look_of_who_may_push_is_honoured(collected: Collecting) -> None:
    """A blob that a pusher has asked about stays for another lease, though its review is due."""
    blob = await collected.push_blob(LAYER)
    await collected.age(30 * DAY)
    found = await collected.uses.pull_blob.resolve(NAME, blob)
    assert found.repository is not None
    assert found.blob is not None

    await collected.uses.pull_blob.keep(found.repository, found.blob)
    await collected.collect()

    assert blob in await collected.blobs()
    assert await verdict_on(collected, blob) == (Outcome.WAIT, Reason.LEASE)


async def test_everything_that_a_tag_holds_together_stays(collected: Collecting) -> None:
    """Configs, layers, children of an index and a build cache's entries count as references, whatever their age."""
    child = await collected.blob_image(content=LAYER)
    cache = await collected.push_blob(b"an entry of a build cache")
    parent = await collected.push(
        index(
            await collected.descriptor_of(child),
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": str(cache), "size": 25},
        ),
        "cache",
    )

    await collected.collect_all()

    assert await collected.manifests() == {child, parent}
    assert await collected.blobs() == {CONFIG, Digest.of(LAYER), cache}
    assert await collected.queued() == {}

    await collected.delete_tag("cache")
    await collected.collect_all()

    assert await collected.manifests() == set()
    assert await collected.blobs() == set()
    assert await collected.objects() == []


async def test_pins_are_honoured(collected: Collecting) -> None:
    """A pinned manifest stays until the pin ends, and for ever under a pin without end."""
    short, long = await collected.image(), await collected.image()
    now = await collected.database.read(lambda tx: tx.now)
    await pin(collected, short, now + 60 * DAY)
    await pin(collected, long, None)

    await collected.age(30 * DAY)
    await collected.collect()
    assert await verdict_on(collected, short) == (Outcome.WAIT, Reason.PINNED)
    assert await collected.manifests() == {short, long}
    for _ in range(3):
        await collected.age(31 * DAY)
        await collected.collect()

    assert await collected.manifests() == {long}
    assert await verdict_on(collected, long) == (Outcome.WAIT, Reason.PINNED)


@pytest.mark.parametrize("holds", ["tag", "index", "pin"])
async def test_a_referrer_that_stays_keeps_its_subject(collected: Collecting, holds: str) -> None:
    """What holds a referrer of a referrer holds both subjects; when it goes all three go."""
    subject = await collected.image()
    signature = await collected.referrer(subject)
    statement = await collected.referrer(signature, *(["kept"] if holds == "tag" else []))
    held = {subject, signature, statement}
    if holds == "index":
        held.add(await collected.push(index(await collected.descriptor_of(statement)), "kept"))
    if holds == "pin":
        await pin(collected, statement, None)

    await collected.collect_all()
    assert await collected.manifests() == held

    if holds == "pin":
        await collected.uses.delete_manifest(ANONYMOUS, NAME, statement)
    else:
        await collected.delete_tag("kept")
    await collected.collect_all()

    assert await collected.manifests() & held == set()


async def test_a_referrer_goes_with_its_subject(collected: Collecting) -> None:
    """A referrer without a tag stays as long as its subject has one, and goes after it."""
    subject = await collected.image("v1")
    referrer = await collected.referrer(subject)
    await collected.collect_all()
    assert await collected.manifests() == {subject, referrer}

    await collected.delete_tag("v1")
    await collected.age(UNTAGGED_AFTER)
    await collected.collect()
    assert await collected.manifests() == {referrer}
    await collected.age(DAY)
    await collected.collect()

    assert await collected.manifests() == set()


async def test_a_referrer_whose_subject_never_came_goes(collected: Collecting) -> None:
    """It waits a day for its subject, as a blob does for its manifest, and no fortnight."""
    missing = {"mediaType": image()["mediaType"], "digest": str(Digest.of(b"never pushed")), "size": 1}
    referrer = await collected.push(image(subject=missing))
    await collected.age(DAY - HOUR)
    await collected.collect()
    assert await collected.manifests() == {referrer}

    await collected.age(HOUR)
    assert await verdict_on(collected, referrer) == (Outcome.COLLECT, Reason.SUBJECT_MISSING)
    await collected.collect()

    assert await collected.manifests() == set()


async def test_a_subject_that_comes_late_keeps_its_referrer(collected: Collecting) -> None:
    """A referrer that was there first stays with the subject that came."""
    late = image(annotations={"n": "late"})
    content = len(str(late))
    found = await collected.push(late)
    await collected.uses.delete_manifest(ANONYMOUS, NAME, found)
    referrer = await collected.push(
        image(subject={"mediaType": late["mediaType"], "digest": str(found), "size": content})
    )
    assert await collected.push(late, "v1") == found

    await collected.collect_all()

    assert await collected.manifests() == {found, referrer}


async def test_kept_manifests_are_parked_until_the_settings_change(collected: Collecting) -> None:
    """Under ``keep`` a manifest without tag stays for ever; under ``collect`` its review goes on."""
    digest = await collected.image()
    keeping = collected.collection_with(gc__untagged="keep")
    for _ in range(3):
        await collected.age(40 * DAY)
        await keeping.collect_garbage()
    assert await collected.manifests() == {digest}
    assert await collected.scalars(manifest_reviews.c.waits_from) == [PARKED]
    [planned] = [entry for entry in await keeping.plan(10, due_only=False) if entry.digest == str(digest)]
    assert (planned.verdict.outcome, planned.verdict.reason) == (Outcome.PARK, Reason.UNTAGGED_KEPT)

    await collected.collect()
    assert await collected.manifests() == {digest}
    await collected.age(DAY)
    await collected.collect()

    assert await collected.manifests() == set()


async def test_parked_manifests_can_be_shown_whatever_the_settings(collected: Collecting) -> None:
    """The longest time of review that can be set stands in no plan's way."""
    await collected.image()
    keeping = collected.collection_with(gc__untagged="keep")
    await collected.age(400 * DAY)
    await keeping.collect_garbage()
    slow = collected.collection_with(gc__untagged="keep", gc__review_after="365d")

    planned = await slow.plan(10, due_only=False)

    assert Reason.UNTAGGED_KEPT in {entry.verdict.reason for entry in planned}


@pytest.mark.parametrize("by_tag", [True, False])
async def test_what_is_pulled_stays(collected: Collecting, by_tag: bool) -> None:
    """A manifest without tag stays for a fortnight after its last pull, under whatever reference that was."""
    digest = await collected.image("v1")
    await collected.age(30 * DAY)
    await collected.delete_tag("v1")
    await collected.age(13 * DAY)
    found = await collected.uses.pull_manifest.resolve(NAME, digest)
    assert found.repository is not None
    assert found.manifest is not None
    collected.uses.count_pulls.saw(found.repository, found.manifest, Tag("v1") if by_tag else digest)
    await collected.uses.count_pulls.write()

    for _ in range(2):
        await collected.age(6 * DAY)
        await collected.collect()
        assert await verdict_on(collected, digest) == (Outcome.WAIT, Reason.PULLED_RECENTLY)
    assert await collected.scalars(pull_counts.c.pulls) == [1]
    await collected.age(2 * DAY)
    await collected.collect()

    assert await collected.manifests() == set()


async def test_pulls_count_only_while_they_are_asked_for(collected: Collecting) -> None:
    """With ``pulled_within`` zero, a pull keeps nothing."""
    digest = await collected.image()
    await collected.age(30 * DAY)
    found = await collected.uses.pull_manifest.resolve(NAME, digest)
    assert found.repository is not None
    assert found.manifest is not None
    collected.uses.count_pulls.saw(found.repository, found.manifest, digest)
    await collected.uses.count_pulls.write()

    await collected.collection_with(gc__pulled_within="0s").collect_garbage()

    assert await collected.manifests() == set()


async def test_a_blob_that_another_repository_has_stays(collected: Collecting) -> None:
    """What one repository gives up stays readable in the other, to its last byte."""
    digest = await collected.push_blob(LAYER)
    await collected.uses.mount_blob.from_repository(ANONYMOUS, OTHER, digest, NAME)
    await collected.push_blob(name=OTHER)
    await collected.push(image(LAYER), "v1", name=OTHER)

    await collected.collect_all()

    found = await collected.uses.pull_blob.resolve(OTHER, digest)
    assert found.blob is not None
    content = [chunk async for chunk in collected.uses.pull_blob.read(OTHER, found.blob, 0, len(LAYER))]
    assert b"".join(content) == LAYER
    assert (await collected.uses.pull_blob.resolve(NAME, digest)).blob is None


async def test_a_digest_that_comes_back_is_new(collected: Collecting) -> None:
    """Content that is pushed again while its old bytes wait to be deleted keeps its new ones."""
    digest = await collected.push_blob(LAYER)
    for _ in range(2):
        await collected.age(2 * DAY)
        await collected.collect()
    assert digest not in await collected.blobs()
    assert len(await collected.scalars(dead_objects.c.key)) == 2

    await collected.push_blob(LAYER)
    await collected.age(2 * HOUR)
    await collected.collect()

    found = await collected.uses.pull_blob.resolve(NAME, digest)
    assert found.blob is not None
    assert await collected.objects() == [piece.key for piece in found.blob.objects]


async def test_the_plan_is_what_happens(collected: Collecting) -> None:
    """What the plan says will go is what goes, and a plan changes nothing."""
    await collected.blob_image("kept", content=b"kept")
    await collected.blob_image(content=LAYER)
    await collected.push_blob(b"loose")
    await collected.age(20 * DAY)
    before: Any = await collected.queued()

    planned = await collected.collection.plan(100, due_only=True)
    assert await collected.queued() == before
    going = {(entry.queue, entry.digest) for entry in planned if entry.verdict.outcome is Outcome.COLLECT}
    were = await collected.manifests()
    done = await collected.collect()

    assert {("manifests", str(digest)) for digest in were - await collected.manifests()} | {
        ("links", str(Digest.of(b"loose")))
    } == going
    assert (done.manifests.collected, done.links.collected, done.blobs.collected) == (1, 1, 0)
