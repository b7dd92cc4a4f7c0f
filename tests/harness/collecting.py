"""A registry in this process whose content can be let age, and its collection."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Table, delete, select, type_coerce, update

from entrepot.access import ANONYMOUS
from entrepot.compose import Collection, collection_of, uses_of
from entrepot.lifecycle import Collected
from entrepot.metadata import Actor, Database, Event, Queue, Transaction, open_database
from entrepot.metadata.tables import (
    blob_reviews,
    blobs,
    dead_objects,
    link_reviews,
    manifest_reviews,
    manifests,
    pins,
    pull_counts,
    repositories,
    repository_blobs,
    upload_sessions,
)
from entrepot.oci import Digest, RepositoryName, Tag
from entrepot.settings import Settings, load_settings
from entrepot.storage import MemoryBlobStore
from entrepot.testing.blob_store import listed
from entrepot.testing.faulty_store import FaultyBlobStore
from harness.protocol import OCI_MANIFEST, image
from harness.uses import NAME, Registry

_QUEUES: Final = {Queue.MANIFESTS: manifest_reviews, Queue.LINKS: link_reviews, Queue.BLOBS: blob_reviews}
_INSTANTS: Final = [
    *((table, name) for table in _QUEUES.values() for name in ("event_at", "waits_from")),
    (manifests, "lease_until"),
    (repository_blobs, "lease_until"),
    (dead_objects, "delete_after"),
    (upload_sessions, "expires_at"),
    (pull_counts, "last_at"),
    (pins, "expires_at"),
]
_FAR_AWAY: Final = datetime(2100, 1, 1, tzinfo=UTC)
_PASSES_AT_MOST: Final = 20


@dataclass(frozen=True)
class Collecting(Registry):
    """The uses and the collection of one registry; the collection's store can be given faults."""

    collection: Collection
    faults: FaultyBlobStore
    actor: Actor
    _folder: Path
    _url: str

    def collection_with(self, **flags: str) -> Collection:
        """The collection under further settings, ``__`` standing for the dot of a section."""
        return collection_of(settings_for(self._folder, self._url, **flags), self.database, self.faults)

    async def age(self, time: timedelta) -> None:
        """Let so much time pass for every row, by moving their instants into the past."""
        await self.database.write(partial(let_age, time=time))

    async def collect(self) -> Collected:
        """One pass."""
        return await self.collection.collect_garbage()

    async def collect_all(self, time: timedelta = timedelta(days=40)) -> None:
        """Let much time pass, pass by pass, until nothing is left to do."""
        for _ in range(_PASSES_AT_MOST):
            await self.age(time)
            done = await self.collect()
            if not (done.manifests.decided or done.links.decided or done.blobs.decided or done.objects.objects):
                return
        raise AssertionError

    async def clear_queues(self) -> None:
        """Forget every event so far."""
        await self.database.write(lambda tx: [tx.execute(delete(table)).rowcount for table in _QUEUES.values()])

    async def clear_links(self) -> None:
        """Forget every event that concerns a link."""
        await self.database.write(lambda tx: tx.execute(delete(link_reviews)).rowcount)

    async def queued(self) -> dict[Any, Event]:
        """What waits for a review, and the event that made it so: manifests, links by repository, blobs."""

        def unit(tx: Transaction) -> dict[Any, Event]:
            found: dict[Any, Event] = {}
            of_manifests = select(manifests.c.digest, manifest_reviews.c.event).join(manifests)
            found.update((("manifest", row.digest), Event(row.event)) for row in tx.execute(of_manifests).all())
            of_links = (
                select(repositories.c.name, blobs.c.digest, link_reviews.c.event)
                .select_from(link_reviews)
                .join(repositories, repositories.c.id == link_reviews.c.repository_id)
                .join(blobs, blobs.c.id == link_reviews.c.blob_id)
            )
            found.update(((row.name, row.digest), Event(row.event)) for row in tx.execute(of_links).all())
            of_blobs = select(blobs.c.digest, blob_reviews.c.repository, blob_reviews.c.event).join(blobs)
            found.update((("blob", row.digest, row.repository), Event(row.event)) for row in tx.execute(of_blobs).all())
            return found

        return await self.database.read(unit)

    async def manifests(self) -> set[Digest]:
        """Every manifest that is there."""
        return set(await self.scalars(manifests.c.digest))

    async def blobs(self) -> set[Digest]:
        """Every blob that is there."""
        return set(await self.scalars(blobs.c.digest))

    async def objects(self) -> list[str]:
        """Every object in the store."""
        return await listed(self.store)

    async def blob_image(self, *tags: str, content: bytes, name: RepositoryName = NAME) -> Digest:
        """Push a layer of this content and an image of it."""
        await self.push_blob(content, name)
        await self.push_blob(name=name)
        return await self.push(image(content), *tags, name=name)

    async def descriptor_of(self, digest: Digest) -> dict[str, Any]:
        """A descriptor of a pushed manifest, for an index or as a subject."""
        [size] = set(await self.scalars(manifests.c.size, where=manifests.c.digest == digest))
        return {"mediaType": OCI_MANIFEST, "digest": str(digest), "size": size}

    async def referrer(self, subject: Digest, *tags: str) -> Digest:
        """Push an artifact that names a pushed manifest as its subject."""
        return await self.push(image(subject=await self.descriptor_of(subject)), *tags)

    async def delete_tag(self, tag: str) -> None:
        """Delete a tag as a client does."""
        await self.uses.delete_tag(ANONYMOUS, NAME, Tag(tag))


def let_age(tx: Transaction, time: timedelta) -> None:
    """Move the instants of every row into the past."""
    microseconds = time // timedelta(microseconds=1)
    for table, name in _INSTANTS:
        earlier = type_coerce(table.c[name], BigInteger) - microseconds
        tx.execute(update(table).where(table.c[name] < _FAR_AWAY).values({name: earlier}))


async def change(registry: Registry, table: Table, **values: Any) -> int:
    """Change all rows of a table behind the program's back; returns how many."""
    return await registry.database.write(lambda tx: tx.execute(update(table).values(values)).rowcount)


def settings_for(folder: Path, url: str, **flags: str) -> Settings:
    """The settings of a registry over the database at ``url``, ``__`` standing for the dot of a section."""
    config = folder / "entrepot.toml"
    config.write_text("", encoding="utf-8")
    given = {"data": str(folder), "database": url, **{key.replace("__", "."): flag for key, flag in flags.items()}}
    return load_settings(given, {}, config).settings


@contextlib.asynccontextmanager
async def collecting(
    url: str, folder: Path, database: Database | None = None, *, first_blob: bool = True, **flags: str
) -> AsyncGenerator[Collecting, None]:
    """A registry over the database at ``url``, with an empty config blob in its repository unless told otherwise."""
    settings = settings_for(folder, url, **flags)
    database = database or open_database(url)
    store = MemoryBlobStore()
    faults = FaultyBlobStore(store)
    sparse = uses_of(settings_for(folder, url, **flags, manifests__missing_blobs="accept"), database, store)
    try:
        registry = Collecting(
            uses=uses_of(settings, database, store),
            sparse=sparse,
            database=database,
            store=store,
            collection=collection_of(settings, database, faults),
            faults=faults,
            actor=Actor("operator", "0", "root"),
            _folder=folder,
            _url=url,
        )
        if first_blob:
            await registry.push_blob()
        yield registry
    finally:
        await database.close()
