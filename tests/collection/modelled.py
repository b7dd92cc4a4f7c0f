"""A registry and its collection on a clock that a test moves, beside the model of what they promise."""

import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from collection.audit import Found, read_repositories, stored_keys
from collection.ledger import blobs_of, held, read_pushed
from collection.model import Model
from entrepot.access import ANONYMOUS
from entrepot.compose import policy_of, uses_of
from entrepot.lifecycle import (
    Clock,
    CollectGarbage,
    DatabaseClock,
    DeleteObjects,
    DeleteRepository,
    ExpireUploads,
    HostClock,
    QueueUnqueued,
    ReviewBatch,
)
from entrepot.metadata import Actor, Database, Transaction, open_database, unknown_keys
from entrepot.metadata.sqlite import SqliteDatabase
from entrepot.metadata.tables import blob_objects, pins, repositories
from entrepot.oci import (
    Algorithm,
    BlobReferenced,
    BlobUnknown,
    BlobUploadUnknown,
    Digest,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    RepositoryName,
    Tag,
)
from entrepot.registry import ManifestPush
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from harness.collecting import let_age
from harness.protocol import LAYER, descriptor, digest_of, image, index

LEASE = 100.0
DELETE_AFTER = 20.0
RETRY_WINDOW = 240.0
BLOBS = tuple(f"blob {number}".encode() for number in range(4))
TAGS = ("a", "b", "c")
NAMES = ("some/one", "some/other")
_CONTENTS = {digest_of(blob): blob for blob in BLOBS}
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_ADMIN = Actor("user", "1", "admin")
_ROUNDS_AT_MOST = 40


@dataclass(frozen=True, slots=True)
class Rules:
    """The collection's settings; durations in seconds."""

    review_after: float = 0.0
    untagged_after: float = 0.0
    pulled_within: float = 0.0
    keep_untagged: bool = False


class Modelled:
    """Does everything twice, to the registry and to the model, and compares."""

    def __init__(self, url: str, folder: Path, rules: Rules) -> None:
        self.model = Model(LEASE, rules.untagged_after, rules.pulled_within, rules.keep_untagged)
        given = {
            "data": str(folder),
            "uploads.lease": f"{LEASE:.0f}s",
            "uploads.session_lifetime": "5m",
            "uploads.retry_window": f"{RETRY_WINDOW:.0f}s",
            "gc.review_after": f"{rules.review_after:.0f}s",
            "gc.delete_after": f"{DELETE_AFTER:.0f}s",
            "gc.untagged": "keep" if rules.keep_untagged else "collect",
            "gc.untagged_after": f"{rules.untagged_after:.0f}s",
            "gc.pulled_within": f"{rules.pulled_within:.0f}s",
        }
        settings = load_settings(given, {}, None).settings
        policy = policy_of(settings)
        self._passed = 0.0
        self._began = time.monotonic()
        self._has_own_clock = url.startswith("postgresql")
        self.database: Database
        clock: Clock
        if self._has_own_clock:
            self.database, clock = open_database(url), DatabaseClock()
        else:
            self.database = SqliteDatabase(Path(url.removeprefix("sqlite:///")), clock=self._now)
            clock = HostClock(policy.longest, monotonic=lambda: self.model.now)
        self.store = MemoryBlobStore()
        self.uses = uses_of(settings, self.database, self.store)
        self._collect = CollectGarbage(
            self.database,
            ReviewBatch(self.database, policy, clock),
            ExpireUploads(self.database, clock),
            DeleteObjects(self.database, self.store, clock),
        )
        self._delete_repository = DeleteRepository(self.database)
        self._longest = policy.longest.total_seconds()
        self._collected_keys: dict[str, float] = {}
        self._finished: dict[str, tuple[str, Digest, float]] = {}
        self._has_ending_pins = False

    async def close(self) -> None:
        """Let go of the database."""
        await self.database.close()

    async def apply(self, operation: tuple[Any, ...]) -> None:
        """Do one thing to both, then compare all there is."""
        method, *arguments = operation
        self._tick()
        await getattr(self, method)(*arguments)
        await self.compare()

    async def upload(self, name: str, content: bytes) -> None:
        """Push a blob."""
        digest = Digest.of(content)
        session = await self.uses.start_upload(ANONYMOUS, RepositoryName(name), Algorithm.SHA256)
        await self.uses.finish_upload(ANONYMOUS, RepositoryName(name), session, digest, None, _body(content))
        self.model.show_blob(name, str(digest))
        self._finished[session] = name, digest, self.model.now + RETRY_WINDOW

    async def close_again(self, number: int) -> None:
        """Close an upload once more, as one who has lost the answer: a 201 then promises as much as the first."""
        if not self._finished:
            return
        session = list(self._finished)[number % len(self._finished)]
        name, digest, until = self._finished[session]
        is_there = str(digest) in self.model.repository(name).blobs
        outcome = await _outcome(self.uses.finish_upload(ANONYMOUS, RepositoryName(name), session, digest, None, None))
        assert outcome in {None, BlobUploadUnknown}
        assert outcome is None or not is_there or self.model.now >= until
        assert outcome is not None or is_there
        if is_there and outcome is None:
            self.model.show_blob(name, str(digest))

    async def leave_upload(self, name: str, content: bytes) -> None:
        """Begin an upload that nobody ends."""
        session = await self.uses.start_upload(ANONYMOUS, RepositoryName(name), Algorithm.SHA256)
        await self.uses.write_upload(ANONYMOUS, RepositoryName(name), session, None, _body(content))

    async def mount(self, name: str, content: bytes) -> None:
        """Mount a blob from the other repository, which works if it has it."""
        source = NAMES[1 - NAMES.index(name)]
        digest = Digest.of(content)
        mounted = await self.uses.mount_blob.from_repository(
            ANONYMOUS, RepositoryName(name), digest, RepositoryName(source)
        )
        assert mounted == (str(digest) in self.model.repository(source).blobs)
        if mounted:
            self.model.show_blob(name, str(digest))

    async def push(self, name: str, kind: str, first: int, second: int, tag: str | None) -> None:
        """Push a manifest of that kind: it is refused exactly if a blob that it names is not there."""
        document = self._document(kind, first, second)
        pushed = read_pushed(json.dumps(document).encode())
        self.model.catalogue[pushed.digest] = pushed
        push = ManifestPush(
            RepositoryName(name),
            Digest.parse(pushed.digest) if tag is None else Tag(tag),
            (),
            pushed.media_type,
            pushed.content,
            may_move_tags=True,
        )
        missing = pushed.blobs - set(self.model.repository(name).blobs)
        assert await _outcome(self.uses.push_manifest(ANONYMOUS, push)) is (ManifestBlobUnknown if missing else None)
        if not missing:
            self.model.push(name, pushed, tag)

    async def head_blob(self, name: str, content: bytes) -> None:
        """Ask for a blob as one who may push: what is there stays for half a lease at least."""
        digest = Digest.of(content)
        found = await self.uses.pull_blob.resolve(RepositoryName(name), digest)
        assert (found.blob is not None) == (str(digest) in self.model.repository(name).blobs)
        if found.blob is not None and found.repository is not None:
            await self.uses.pull_blob.keep(found.repository, found.blob)
            self.model.show_blob(name, str(digest), 0.5)

    async def head_manifest(self, name: str, number: int) -> None:
        """Likewise for a manifest."""
        if (digest := self._known(number)) is None:
            return
        found = await self.uses.pull_manifest.resolve(RepositoryName(name), Digest.parse(digest))
        assert (found.manifest is not None) == (digest in self.model.repository(name).manifests)
        if found.manifest is not None:
            await self.uses.pull_manifest.keep(found.manifest)
            self.model.show_manifest(name, digest, 0.5)

    async def delete_tag(self, name: str, tag: str) -> None:
        """Take a tag away."""
        is_there = tag in self.model.repository(name).tags
        outcome = await _outcome(self.uses.delete_tag(ANONYMOUS, RepositoryName(name), Tag(tag)))
        assert outcome in ({None} if is_there else {ManifestUnknown, NameUnknown})
        if is_there:
            self.model.delete_tag(name, tag)

    async def delete_manifest(self, name: str, number: int) -> None:
        """Delete a manifest with its tags."""
        if (digest := self._known(number)) is None:
            return
        is_there = digest in self.model.repository(name).manifests
        deletion = self.uses.delete_manifest(ANONYMOUS, RepositoryName(name), Digest.parse(digest))
        assert await _outcome(deletion) in ({None} if is_there else {ManifestUnknown, NameUnknown})
        if is_there:
            self.model.remove_manifest(name, digest)

    async def delete_blob(self, name: str, content: bytes) -> None:
        """Delete a blob, which is refused while a manifest names it."""
        digest = digest_of(content)
        is_there = digest in self.model.repository(name).blobs
        is_named = digest in blobs_of(self.model.present(name).values())
        outcome = await _outcome(self.uses.delete_blob(ANONYMOUS, RepositoryName(name), Digest.parse(digest)))
        assert outcome in ({BlobUnknown, NameUnknown} if not is_there else {BlobReferenced} if is_named else {None})
        if outcome is None:
            del self.model.repository(name).blobs[digest]

    async def delete_repository(self, name: str) -> None:
        """Delete all of a repository."""
        await _outcome(self._delete_repository(_ADMIN, RepositoryName(name)))
        self.model.repositories.pop(name, None)
        self._finished = {session: about for session, about in self._finished.items() if about[0] != name}

    async def pull(self, name: str, number: int) -> None:
        """Pull a manifest by its digest, which is counted."""
        if (digest := self._known(number)) is None:
            return
        found = await self.uses.pull_manifest.resolve(RepositoryName(name), Digest.parse(digest))
        if found.manifest is not None and found.repository is not None:
            self.uses.count_pulls.saw(found.repository, found.manifest, found.manifest.digest)
            await self.uses.count_pulls.write()
            self.model.pull(name, digest)

    async def pin(self, name: str, number: int, seconds: float | None) -> None:
        """Pin a manifest that is there, for so long or for ever."""
        digest = self._known(number)
        if digest is None or digest not in self.model.repository(name).manifests:
            return
        await self.database.write(partial(_pin, name=name, digest=Digest.parse(digest), seconds=seconds))
        self.model.pin(name, digest, inf if seconds is None else self.model.now + seconds)
        self._has_ending_pins |= seconds is not None

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds
        if self._has_own_clock:
            await self.database.write(partial(let_age, time=timedelta(seconds=seconds)))
        self._tick()

    async def collect(self) -> None:
        """Let the collection pass once; the model follows what it left."""
        before = await self.database.read(lambda tx: set(tx.execute(select(blob_objects.c.key)).scalars()))
        collected = await self._collect()
        assert collected.failures == 0
        after = await self.database.read(lambda tx: set(tx.execute(select(blob_objects.c.key)).scalars()))
        self._collected_keys |= dict.fromkeys(before - after, self.model.now)
        self._tick()
        for name in NAMES:
            found = await self._found(name)
            self.model.observe(name, found.manifests, found.blobs)

    async def compare(self) -> None:
        """What is there is what the model says, byte for byte, and the store has no object that no row knows."""
        for name in NAMES:
            found, expected = await self._found(name), self.model.repository(name)
            assert found.tags == expected.tags
            assert set(found.manifests) == set(expected.manifests)
            assert found.blobs == set(expected.blobs)
            assert blobs_of(found.manifests.values()) <= found.blobs
            for digest in found.blobs:
                resolved = await self.uses.pull_blob.resolve(RepositoryName(name), Digest.parse(digest))
                assert resolved.blob is not None
                reading = self.uses.pull_blob.read(RepositoryName(name), resolved.blob, 0, resolved.blob.size)
                assert b"".join([piece async for piece in reading]) == _CONTENTS[digest]
        keys = await stored_keys(self.store)
        assert not await self.database.read(lambda tx: unknown_keys(tx, keys))
        assert {key for key, at in self._collected_keys.items() if at + DELETE_AFTER > self.model.now} <= keys

    async def settle(self) -> None:
        """Let all leases run out, and collect until nothing changes any more: then only what tags keep is left."""
        for _ in range(_ROUNDS_AT_MOST):
            before = [set(self.model.repository(name).manifests) for name in NAMES]
            await self.advance(self._longest + timedelta(hours=2).total_seconds())
            if self._has_ending_pins:  # nobody notices the end of a pin but a search
                await QueueUnqueued(self.database)()
            await self.apply(("collect",))
            if before == [set(self.model.repository(name).manifests) for name in NAMES]:
                break
        for _ in range(2):  # the links of the last manifests, then the bytes of their blobs
            await self.advance(self._longest + timedelta(hours=2).total_seconds())
            await self.apply(("collect",))
        for name in NAMES:
            found = await self._found(name)
            if not self.model.keep_untagged:
                assert set(found.manifests) == held(self.model.roots(name), found.manifests), "space does not come back"
            assert found.blobs == blobs_of(found.manifests.values()), "space does not come back"
        kept = set().union(*[(await self._found(name)).blobs for name in NAMES])
        assert len(await stored_keys(self.store)) == len(kept)

    async def _found(self, name: str) -> Found:
        return (await self.database.read(read_repositories)).get(name, Found({}, {}, set()))

    def _now(self) -> datetime:
        return _EPOCH + timedelta(seconds=self.model.now)

    def _tick(self) -> None:
        """On a database with a clock of its own, the time that a test takes passes too."""
        self.model.now = self._passed + (time.monotonic() - self._began if self._has_own_clock else 0.0)

    def _known(self, number: int) -> str | None:
        known = list(self.model.catalogue)
        return known[number % len(known)] if known else None

    def _document(self, kind: str, first: int, second: int) -> dict[str, Any]:
        blobs = BLOBS[first % len(BLOBS)], BLOBS[second % len(BLOBS)]
        known = [self.model.catalogue[digest] for digest in (self._known(first), self._known(second)) if digest]
        named = [descriptor(pushed.content, pushed.media_type) for pushed in known]
        config = descriptor(blobs[0], "application/vnd.oci.image.config.v1+json")
        if kind == "cache":
            return index(*(descriptor(blob, LAYER) for blob in blobs))
        if kind == "image" or not named:
            return {**image(blobs[1]), "config": config}
        if kind == "referrer":
            return {**image(), "config": config, "subject": named[1]}
        if kind == "index":
            return index(*named)
        assert kind == "referring index"
        return index(named[0], subject=named[1])


def _pin(tx: Transaction, *, name: str, digest: Digest, seconds: float | None) -> None:
    number = select(repositories.c.id).where(repositories.c.name == name).scalar_subquery()
    tx.execute(
        insert(pins).values(
            uid=secrets.token_hex(8),
            repository_id=number,
            digest=digest,
            reason="",
            pinned_at=tx.now,
            expires_at=None if seconds is None else tx.now + timedelta(seconds=seconds),
            **_ADMIN.columns("pinned_by"),
        )
    )


async def _body(content: bytes) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  a body is asynchronous
    yield content


async def _outcome(step: Any) -> type[Exception] | None:
    try:
        await step
    except RegistryError as error:
        return type(error)
    return None
