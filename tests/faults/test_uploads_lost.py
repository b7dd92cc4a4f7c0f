"""Upload sessions and blobs whose bytes go away under them: the client is told to begin anew, or to come back later."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from entrepot.access import ANONYMOUS
from entrepot.compose import uses_of
from entrepot.metadata import Database, StoredObject, open_database, upgrade
from entrepot.metadata.blobs import mark_damaged, store_blob
from entrepot.oci import Algorithm, BlobUploadUnknown, ContentDamaged, Digest, RepositoryName, UploadRangeInvalid
from entrepot.registry import Uses
from entrepot.settings import load_settings
from entrepot.storage import FilesystemBlobStore, new_key
from entrepot.testing.blob_store import chunks, listed
from entrepot.testing.faulty_store import FaultyBlobStore, Step

NAME = RepositoryName("some/name")
MIB = 1 << 20
WAIT = 20.0  # seconds after which a test that hangs fails


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database, None]:
    """An empty SQLite database."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    opened = open_database(url)
    yield opened
    await opened.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[FaultyBlobStore, None]:
    """Objects as files."""
    folder = tmp_path / "store"
    folder.mkdir()
    files = FilesystemBlobStore(folder, reserve=0)
    yield FaultyBlobStore(files)
    await files.close()


@pytest.fixture
def uses(database: Database, store: FaultyBlobStore, tmp_path: Path) -> Uses:
    """The uses over both, with a checkpoint each MiB."""
    config = tmp_path / "entrepot.toml"
    config.write_text("", encoding="utf-8")
    flags = {"data": str(tmp_path), "uploads.checkpoint_bytes": "1MiB"}
    return uses_of(load_settings(flags, {}, config).settings, database, store)


class Sender:
    """A client that sends a first part, sleeps, and sends the rest when it is woken."""

    def __init__(self, first: bytes, rest: bytes) -> None:
        self._first = first
        self._rest = rest
        self._asleep = asyncio.Event()
        self._woken = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        """What arrives of it; it sleeps when it is asked for what comes after the first part."""
        yield self._first
        self._asleep.set()
        await self._woken.wait()
        yield self._rest

    async def falls_asleep(self) -> None:
        """Wait until all of the first part was taken."""
        async with asyncio.timeout(WAIT):
            await self._asleep.wait()

    def wake(self) -> None:
        """Let it send the rest."""
        self._woken.set()


async def _start(uses: Uses) -> str:
    return await uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)


async def _write(uses: Uses, session: str, offset: int, *pieces: bytes) -> int:
    return (await uses.write_upload(ANONYMOUS, NAME, session, offset, chunks(*pieces))).session.offset


async def _finish(uses: Uses, session: str, content: bytes) -> Digest:
    digest = Digest.of(content)
    await uses.finish_upload(ANONYMOUS, NAME, session, digest, None, None)
    return digest


async def _pull(uses: Uses, digest: Digest) -> bytes:
    blob = (await uses.pull_blob.resolve(NAME, digest)).blob
    assert blob is not None
    return b"".join([piece async for piece in uses.pull_blob.read(NAME, blob, 0, blob.size)])


async def test_a_sleeping_writer_whose_session_is_cancelled(uses: Uses, store: FaultyBlobStore) -> None:
    """It learns that its upload is unknown when it wakes, and leaves no bytes."""
    session = await _start(uses)
    sender = Sender(secrets.token_bytes(MIB), secrets.token_bytes(MIB))
    writer = asyncio.create_task(uses.write_upload(ANONYMOUS, NAME, session, 0, sender.body()))
    await sender.falls_asleep()

    await uses.cancel_upload(ANONYMOUS, NAME, session)
    sender.wake()

    with pytest.raises(BlobUploadUnknown):
        await writer
    assert await listed(store) == []


async def test_a_sleeping_writer_whose_bytes_became_another_upload_of_the_same(uses: Uses) -> None:
    """Overtaken, and its object deleted because the content was there already: it is refused, and the blob is whole."""
    first, rest = secrets.token_bytes(MIB), secrets.token_bytes(1000)
    known = await _start(uses)
    await _write(uses, known, 0, first, rest)
    digest = await _finish(uses, known, first + rest)
    session = await _start(uses)
    sender = Sender(first, secrets.token_bytes(MIB))
    writer = asyncio.create_task(uses.write_upload(ANONYMOUS, NAME, session, 0, sender.body()))
    await sender.falls_asleep()

    await _write(uses, session, MIB, rest)
    assert await _finish(uses, session, first + rest) == digest
    sender.wake()

    with pytest.raises((BlobUploadUnknown, UploadRangeInvalid)):
        await writer
    assert await _pull(uses, digest) == first + rest


async def test_a_writer_that_wakes_in_a_file_after_the_201_spoils_nothing(uses: Uses, store: FaultyBlobStore) -> None:
    """On files, too, what an overtaken writer still writes or cuts off is outside the blob."""
    durable, late, good = (secrets.token_bytes(MIB) for _ in range(3))
    session = await _start(uses)
    held = store.hold(Step.APPEND, call=2)
    writer = asyncio.create_task(uses.write_upload(ANONYMOUS, NAME, session, 0, chunks(durable, late)))
    async with asyncio.timeout(WAIT):
        await held.reached()

    await _write(uses, session, MIB, good)
    digest = await _finish(uses, session, durable + good)
    assert await _pull(uses, digest) == durable + good
    held.let_go()

    with pytest.raises((BlobUploadUnknown, UploadRangeInvalid)):
        await writer
    assert await _pull(uses, digest) == durable + good


async def test_a_session_whose_bytes_the_store_lost_ends(uses: Uses, store: FaultyBlobStore) -> None:
    """What was acknowledged and is gone cannot be gone on with: the upload is unknown, and another one succeeds."""
    content = secrets.token_bytes(1000)
    for go_on in (lambda session: _write(uses, session, 1000, b"x"), lambda session: _finish(uses, session, b"x")):
        session = await _start(uses)
        await _write(uses, session, 0, content)
        [key] = await listed(store)
        await store.delete(key)
        # Without the saved state, closing has to read the bytes.
        with pytest.raises(BlobUploadUnknown):
            await uses.finish_upload(ANONYMOUS, NAME, session, Digest.of(b"x", Algorithm.SHA512), None, None)
        with pytest.raises(BlobUploadUnknown):
            await go_on(session)
        with pytest.raises(BlobUploadUnknown):
            await uses.upload_status(ANONYMOUS, NAME, session)

    session = await _start(uses)
    await _write(uses, session, 0, content)
    assert await _pull(uses, await _finish(uses, session, content)) == content


async def test_appending_to_a_session_whose_bytes_the_store_lost_ends_it(uses: Uses, store: FaultyBlobStore) -> None:
    """Likewise where the loss shows in the append itself."""
    session = await _start(uses)
    await _write(uses, session, 0, b"acknowledged")
    [key] = await listed(store)
    await store.delete(key)

    with pytest.raises(BlobUploadUnknown):
        await _write(uses, session, len(b"acknowledged"), b"x")
    with pytest.raises(BlobUploadUnknown):
        await uses.upload_status(ANONYMOUS, NAME, session)


@pytest.mark.parametrize("again", [True, False])
async def test_a_reader_whose_blob_moves(uses: Uses, database: Database, store: FaultyBlobStore, again: bool) -> None:
    """A reader that misses an object looks for new ones and goes on there; if those are lost too, that is damage."""
    content = secrets.token_bytes(3 * MIB)
    session = await _start(uses)
    await _write(uses, session, 0, content)
    digest = await _finish(uses, session, content)
    old = (await uses.pull_blob.resolve(NAME, digest)).blob
    assert old is not None
    new = StoredObject(1, new_key(), len(content))
    await store.append(new.key, 0, chunks(content))
    reading = uses.pull_blob.read(NAME, old, 0, old.size)
    got = [await anext(reading)]

    await database.write(lambda tx: mark_damaged(tx, old.id, old.objects[0].key))
    await database.write(lambda tx: store_blob(tx, digest, [new]))
    await store.delete(old.objects[0].key)
    late = uses.pull_blob.read(NAME, old, len(got[0]), old.size)
    if again:
        await store.delete(new.key)
        with pytest.raises(ContentDamaged):
            await anext(late)
        blob = (await uses.pull_blob.resolve(NAME, digest)).blob
        assert blob is not None
        assert blob.state == "damaged"
    else:
        got += [piece async for piece in late]
        assert b"".join(got) == content
    await reading.aclose()
