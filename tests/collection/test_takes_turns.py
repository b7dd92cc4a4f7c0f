import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from collection.audit import LaterClock
from entrepot.access import ANONYMOUS
from entrepot.compose import policy_of, uses_of
from entrepot.lifecycle import Blobs, Links, ReviewBatch
from entrepot.metadata import (
    Database,
    Queue,
    Transaction,
    find_manifest,
    find_repository,
    linked_blobs,
    lock_reviewed,
    open_database,
    remove_manifests,
    store_blob,
    unlink_blob,
    upgrade,
)
from entrepot.metadata.tables import blobs, manifests, repository_blobs
from entrepot.oci import Algorithm, Digest, RepositoryName, Tag
from entrepot.registry import ManifestPush, Uses
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from harness.held import Held
from harness.postgresql import PostgresqlServer
from harness.protocol import EMPTY, OCI_MANIFEST, descriptor, image

NAME = RepositoryName("some/name")
OTHER = RepositoryName("some/other")
CONFIG = Digest.of(EMPTY)


@dataclass(frozen=True)
class Registry:
    """The uses over PostgreSQL, and reviews for which all leases are over."""

    database: Database
    uses: Uses
    review: ReviewBatch

    async def push_blob(self, name: RepositoryName) -> None:
        """Push the empty config."""
        session = await self.uses.start_upload(ANONYMOUS, name, Algorithm.SHA256)
        await self.uses.finish_upload(ANONYMOUS, name, session, CONFIG, None, _body(EMPTY))

    async def push(self, tag: str, **fields: Any) -> bytes:
        """Push an image under a tag; returns its bytes."""
        content = json.dumps(image(**fields)).encode()
        await self.uses.push_manifest(ANONYMOUS, ManifestPush(NAME, Tag(tag), (), None, content, may_move_tags=True))
        return content

    async def count(self, column: Any) -> int:
        """How many rows a table has."""
        return await self.database.read(lambda tx: int(tx.execute(select(func.count(column))).scalar_one()))


async def _body(content: bytes) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  a body is asynchronous
    yield content


def _repository(tx: Transaction, name: RepositoryName = NAME) -> int:
    number = find_repository(tx, name)
    assert number is not None
    return number


@pytest.fixture
async def registry(postgresql: PostgresqlServer, tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry with an empty config in two repositories."""
    url = postgresql.fresh_database()
    upgrade(url)
    settings = load_settings({"data": str(tmp_path), "gc.review_after": "0s"}, {}, None).settings
    database = open_database(url)
    uses = uses_of(settings, database, MemoryBlobStore())
    registry = Registry(database, uses, ReviewBatch(database, policy_of(settings), LaterClock()))
    await registry.push_blob(NAME)
    await registry.push_blob(OTHER)
    yield registry
    await database.close()


async def test_a_blob_given_up_while_it_is_reviewed_is_reviewed_again(registry: Registry) -> None:
    """A review that still sees the last link does not take the blob out of the queue when that link goes."""
    await registry.uses.delete_blob(ANONYMOUS, OTHER, CONFIG)

    def give_up(tx: Transaction) -> None:
        repository_id = _repository(tx)
        unlink_blob(tx, repository_id, NAME.text, linked_blobs(tx, repository_id, [CONFIG])[CONFIG].id)

    await Held(give_up).while_held(registry.database, lambda: registry.review(Blobs()))
    await registry.review(Blobs())

    assert await registry.count(blobs.c.id) == 0


async def test_an_upload_and_the_collection_of_a_link_do_not_wait_for_each_other(registry: Registry) -> None:
    """A link can be collected while its blob is uploaded anew: else each could hold what the other needs."""
    holding = Held(lambda tx: store_blob(tx, CONFIG, []))

    await holding.while_held(registry.database, lambda: registry.review(Links()), ends=True)

    assert await registry.count(repository_blobs.c.blob_id) == 0


async def test_a_tag_can_be_deleted_while_a_distant_subject_is_collected(registry: Registry) -> None:
    """Who queues the subject of a subject for review bears that it goes at that moment."""
    subject = await registry.push("subject", annotations={"n": "1"})
    first = await registry.push("first", subject=descriptor(subject, OCI_MANIFEST))
    await registry.push("second", subject=descriptor(first, OCI_MANIFEST))
    await registry.uses.delete_tag(ANONYMOUS, NAME, Tag("subject"))

    def collect(tx: Transaction) -> None:
        repository_id = _repository(tx)
        found = find_manifest(tx, repository_id, Digest.of(subject))
        assert found is not None
        assert lock_reviewed(tx, Queue.MANIFESTS, [(found.id,)])
        remove_manifests(tx, [found.id], timedelta(hours=1))

    await Held(collect).while_held(registry.database, lambda: registry.uses.delete_tag(ANONYMOUS, NAME, Tag("second")))

    assert await registry.count(manifests.c.id) == 2
