"""Uploads whose store fails or waits at a named step: nothing acknowledged is lost, nothing is half visible."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.access import ANONYMOUS
from entrepot.compose import uses_of
from entrepot.lifecycle import DatabaseClock, ExpireUploads
from entrepot.metadata import Database, open_database, upgrade
from entrepot.oci import Algorithm, BlobUploadUnknown, ContentDamaged, Digest, RepositoryName, UploadRangeInvalid
from entrepot.registry import Uses
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore, StoreFull, StoreUnavailable
from entrepot.testing.blob_store import listed
from entrepot.testing.faulty_store import FaultyBlobStore, Moment, Step

NAME = RepositoryName("some/name")
CHECKPOINT = 1 << 20


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database, None]:
    """An empty SQLite database."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    opened = open_database(url)
    yield opened
    await opened.close()


@pytest.fixture
def store() -> FaultyBlobStore:
    """A store in memory that can be made to fail."""
    return FaultyBlobStore(MemoryBlobStore())


@pytest.fixture
def uses(database: Database, store: FaultyBlobStore, tmp_path: Path) -> Uses:
    """The uses over both, with a checkpoint each MiB."""
    config = tmp_path / "entrepot.toml"
    config.write_text("", encoding="utf-8")
    flags = {"data": str(tmp_path), "uploads.checkpoint_bytes": "1MiB"}
    return uses_of(load_settings(flags, {}, config).settings, database, store)


async def body(*chunks: bytes) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  a body is asynchronous
    """A request's body."""
    for chunk in chunks:
        yield chunk


async def start(uses: Uses) -> str:
    """Open a session."""
    return await uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)


async def write(uses: Uses, session: str, offset: int | None, *chunks: bytes) -> int:
    """Append chunks; returns the new offset."""
    written = await uses.write_upload(ANONYMOUS, NAME, session, offset, body(*chunks))
    return written.session.offset


async def finish(uses: Uses, session: str, content: bytes) -> Digest:
    """Close the session under the digest of ``content``."""
    digest = Digest.of(content)
    await uses.finish_upload(ANONYMOUS, NAME, session, digest, None, None)
    return digest


async def pull(uses: Uses, digest: Digest) -> bytes:
    """The whole blob."""
    blob = (await uses.pull_blob.resolve(NAME, digest)).blob
    assert blob is not None
    return b"".join([chunk async for chunk in uses.pull_blob.read(NAME, blob, 0, blob.size)])


@pytest.mark.parametrize("error", [StoreFull(), StoreUnavailable()], ids=["full", "unavailable"])
@pytest.mark.parametrize(
    ("step", "moment"),
    [
        (Step.APPEND, Moment.BEFORE),
        (Step.APPEND, Moment.MIDWAY),
        (Step.APPEND, Moment.AFTER),
        (Step.SYNC, Moment.BEFORE),
    ],
)
async def test_an_upload_goes_on_after_the_store_failed(
    uses: Uses, store: FaultyBlobStore, error: Exception, step: Step, moment: Moment
) -> None:
    """The failure is told, the offset stays at the last checkpoint, and what follows goes on from there."""
    content = secrets.token_bytes(3 * CHECKPOINT)
    session = await start(uses)
    assert await write(uses, session, 0, content[:CHECKPOINT]) == CHECKPOINT
    store.fail(step, error, call=1, moment=moment)

    with pytest.raises(type(error)):
        await write(uses, session, CHECKPOINT, content[CHECKPOINT : 2 * CHECKPOINT], content[2 * CHECKPOINT :])

    assert await uses.upload_status(ANONYMOUS, NAME, session) == CHECKPOINT
    store.mend()
    assert await write(uses, session, CHECKPOINT, content[CHECKPOINT:]) == len(content)
    assert await pull(uses, await finish(uses, session, content)) == content


async def test_a_writer_that_wakes_in_the_store_after_the_201_spoils_nothing(
    uses: Uses, store: FaultyBlobStore
) -> None:
    """Held in the middle of an append, overtaken, the blob finished: what it writes then is nobody's."""
    durable, late, good = (secrets.token_bytes(CHECKPOINT) for _ in range(3))
    session = await start(uses)
    await write(uses, session, 0, durable)
    held = store.hold(Step.APPEND, call=1, moment=Moment.MIDWAY)
    late_writer = asyncio.ensure_future(
        write(uses, session, CHECKPOINT, late[: CHECKPOINT // 2], late[CHECKPOINT // 2 :])
    )
    await asyncio.wait_for(held.reached(), 10)

    assert await write(uses, session, CHECKPOINT, good) == 2 * CHECKPOINT
    digest = await finish(uses, session, durable + good)
    held.let_go()

    with pytest.raises((UploadRangeInvalid, BlobUploadUnknown)):
        await late_writer
    assert await pull(uses, digest) == durable + good


async def test_a_lost_object_is_damage_that_a_push_mends(uses: Uses, store: FaultyBlobStore) -> None:
    """Bytes that the store lost are a damaged blob, never a missing one; pushing the digest again heals it."""
    content = secrets.token_bytes(1000)
    session = await start(uses)
    await write(uses, session, 0, content)
    digest = await finish(uses, session, content)
    for key in await listed(store):
        await store.delete(key)

    with pytest.raises(ContentDamaged):
        await pull(uses, digest)
    found = (await uses.pull_blob.resolve(NAME, digest)).blob
    assert found is not None
    assert found.state == "damaged"
    again = await start(uses)
    await write(uses, again, 0, content)
    await finish(uses, again, content)

    assert await pull(uses, digest) == content


async def test_a_cancelled_writer_leaves_a_session_that_goes_on(uses: Uses, store: FaultyBlobStore) -> None:
    """A request that is cancelled, as by a stop, keeps its last checkpoint."""
    content = secrets.token_bytes(2 * CHECKPOINT)
    session = await start(uses)
    await write(uses, session, 0, content[:CHECKPOINT])
    held = store.hold(Step.SYNC, call=1)
    writer = asyncio.ensure_future(write(uses, session, CHECKPOINT, content[CHECKPOINT:]))
    await asyncio.wait_for(held.reached(), 10)
    writer.cancel()
    held.let_go()
    with pytest.raises(asyncio.CancelledError):
        await writer

    assert await uses.upload_status(ANONYMOUS, NAME, session) == CHECKPOINT
    await write(uses, session, CHECKPOINT, content[CHECKPOINT:])
    assert await pull(uses, await finish(uses, session, content)) == content


async def test_a_hash_state_of_another_library_is_not_believed(uses: Uses, database: Database) -> None:
    """A state that does not fit is replaced by reading the bytes again."""
    from sqlalchemy import update  # ruff: ignore[import-outside-top-level]  only this test breaks a row

    from entrepot.metadata.tables import upload_sessions  # ruff: ignore[import-outside-top-level]  likewise

    content = secrets.token_bytes(CHECKPOINT)
    session = await start(uses)
    await write(uses, session, 0, content)
    await database.write(lambda tx: tx.execute(update(upload_sessions).values(hash_state=b"nonsense")).rowcount)

    assert await pull(uses, await finish(uses, session, content)) == content


async def test_a_session_that_expired_is_unknown(uses: Uses, database: Database) -> None:
    """After its lifetime a pass of the collection makes a session as unknown as one that never was."""
    expiring = replace(
        uses.start_upload, limits=replace(uses.start_upload.limits, session_lifetime=-uses.start_upload.limits.lease)
    )
    session = await expiring(ANONYMOUS, NAME, Algorithm.SHA256)
    assert await ExpireUploads(database, DatabaseClock())() == 1

    with pytest.raises(BlobUploadUnknown):
        await uses.upload_status(ANONYMOUS, NAME, session)
