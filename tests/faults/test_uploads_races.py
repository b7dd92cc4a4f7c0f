"""Several impatient clients on one upload session, over a store that fails now and then; drawn by lot, repeatable."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from typing_extensions import override

from entrepot.access import ANONYMOUS
from entrepot.compose import uses_of
from entrepot.metadata import Database, open_database, upgrade
from entrepot.metadata.tables import blob_objects, dead_objects, upload_objects
from entrepot.oci import (
    Algorithm,
    BlobUploadUnknown,
    Digest,
    DigestInvalid,
    RepositoryName,
    TooManyRequests,
    UploadRangeInvalid,
)
from entrepot.registry import Uses
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore, StoreFull, StoreUnavailable
from entrepot.testing.blob_store import listed
from harness.postgresql import PostgresqlServer

NAME = RepositoryName("some/name")
CLIENTS = 4
ROUNDS = 12
CHECKPOINT = 64 * 1024
LENGTH = 5 * CHECKPOINT + 321
WAIT = 60.0  # seconds after which a run that hangs fails


class Vanished(Exception):
    """The client went away in the middle of its body."""


class MoodyStore(MemoryBlobStore):
    """A store that takes its time, and that refuses an append or a sync by lot."""

    def __init__(self, lot: random.Random) -> None:
        super().__init__()
        self._lot = lot
        self.refuses = True

    @override
    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        await self._mood()
        length = await super().append(key, offset, self._slowly(chunks))
        await self._mood()
        return length

    @override
    async def sync(self, key: str) -> None:
        await self._mood()
        await super().sync(key)

    async def _slowly(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            await self._mood()
            yield chunk

    async def _mood(self) -> None:
        for _ in range(self._lot.randrange(4)):
            await asyncio.sleep(0)
        if self.refuses and self._lot.random() < 0.04:
            raise self._lot.choice([StoreFull(reason="ENOSPC"), StoreUnavailable(reason="EIO")])


class Client:
    """A client that uploads the content by whatever means the lot tells it, until somebody has finished it."""

    def __init__(self, uses: Uses, session: str, content: bytes, lot: random.Random) -> None:
        self._uses = uses
        self._session = session
        self._content = content
        self._digest = Digest.of(content)
        self._lot = lot

    async def push(self, rounds: int) -> bool:
        """Try so many times; whether the upload was acknowledged."""
        for _ in range(rounds):
            try:
                offset = await self._uses.upload_status(ANONYMOUS, NAME, self._session)
                if self._lot.random() < 0.1:
                    offset = max(0, offset - self._lot.randrange(1, 1000))
                await self._go_on(offset)
            except (UploadRangeInvalid, StoreFull, StoreUnavailable, Vanished):
                continue
            except BlobUploadUnknown:
                return await self._ask_again()
            else:
                return True
        return False

    async def _go_on(self, offset: int) -> None:
        """Send the rest, or some of it, and close the upload."""
        if self._lot.random() < 0.6:
            stop = self._lot.randrange(offset, len(self._content) + 1)
            written = await self._uses.write_upload(ANONYMOUS, NAME, self._session, offset, self._body(offset, stop))
            offset = written.session.offset
        body = self._body(offset, len(self._content)) if offset < len(self._content) else None
        await self._uses.finish_upload(ANONYMOUS, NAME, self._session, self._digest, offset, body)

    async def _ask_again(self) -> bool:
        """Whether the upload is unknown because it was finished."""
        await self._uses.finish_upload(ANONYMOUS, NAME, self._session, self._digest, None, None)
        return True

    async def _body(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        while start < stop:
            for _ in range(self._lot.randrange(3)):
                await asyncio.sleep(0)
            if self._lot.random() < 0.03:
                raise Vanished
            end = min(stop, start + self._lot.randrange(1, 40_000))
            yield self._content[start:end]
            start = end


@pytest.fixture(scope="module")
def template(postgresql: PostgresqlServer) -> str:
    """The name of a PostgreSQL database with the schema, to be copied."""
    url = postgresql.fresh_database()
    upgrade(url)
    return url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database, None]:
    """An empty database."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        url = server.fresh_database(request.getfixturevalue("template"))
    else:
        upgrade(url)
    opened = open_database(url)
    yield opened
    await opened.close()


def _uses(database: Database, store: MemoryBlobStore, folder: Path) -> Uses:
    config = folder / "entrepot.toml"
    config.write_text("", encoding="utf-8")
    flags = {"data": str(folder), "uploads.checkpoint_bytes": str(CHECKPOINT)}
    return uses_of(load_settings(flags, {}, config).settings, database, store)


async def _pull(uses: Uses, digest: Digest) -> bytes:
    blob = (await uses.pull_blob.resolve(NAME, digest)).blob
    assert blob is not None
    return b"".join([piece async for piece in uses.pull_blob.read(NAME, blob, 0, blob.size)])


async def _owners(database: Database) -> Counter[str]:
    """How many times each object's key is on record, as a session's, a blob's or a dead one."""
    tables = (upload_objects, blob_objects, dead_objects)
    found = [await database.read(lambda tx, t=table: tx.execute(select(t.c.key)).scalars().all()) for table in tables]  # type: ignore[misc]
    return Counter(key for keys in found for key in keys)


@pytest.mark.parametrize("seed", range(6))
async def test_whoever_wins_the_blob_is_whole(database: Database, tmp_path: Path, seed: int) -> None:
    """Overtaking, vanishing, refused and repeated at random, an upload that is acknowledged is what was promised.

    Nothing that was stored is lost sight of, and no object belongs to two.
    """
    lot = random.Random(seed)  # ruff: ignore[suspicious-non-cryptographic-random-usage]  repeatable on purpose
    store = MoodyStore(lot)
    uses = _uses(database, store, tmp_path)
    for _ in range(4):
        content = lot.randbytes(LENGTH)
        session = await uses.start_upload(ANONYMOUS, NAME, lot.choice(list(Algorithm)))
        clients = [Client(uses, session, content, lot) for _ in range(CLIENTS)]
        async with asyncio.timeout(WAIT):
            await asyncio.gather(*(client.push(ROUNDS) for client in clients))
            store.refuses = False
            acknowledged = await Client(uses, session, content, lot).push(200)
            store.refuses = True

        assert acknowledged
        assert await _pull(uses, Digest.of(content)) == content

    owners = await _owners(database)
    assert set(owners.values()) == {1}
    assert {*await listed(store)} <= owners.keys()


async def test_two_digests_cannot_come_of_one_session(database: Database, tmp_path: Path) -> None:
    """Closed under several digests at once, a session is one blob at most, and never a wrong one."""
    uses = _uses(database, MemoryBlobStore(), tmp_path)
    for number in range(10):
        content = f"content {number}".encode()
        session = await uses.start_upload(ANONYMOUS, NAME, Algorithm.SHA256)
        await uses.write_upload(ANONYMOUS, NAME, session, 0, _whole(content))
        digests = [Digest.of(content), Digest.of(b"other"), Digest.of(content, Algorithm.SHA512), Digest.of(content)]

        outcomes = await asyncio.gather(
            *(uses.finish_upload(ANONYMOUS, NAME, session, digest, None, None) for digest in digests),
            return_exceptions=True,
        )

        right = [digest for digest, outcome in zip(digests, outcomes, strict=True) if outcome is None]
        assert len(set(right)) <= 1
        assert {type(outcome) for outcome in outcomes if outcome is not None} <= {
            BlobUploadUnknown,
            DigestInvalid,
            UploadRangeInvalid,
        }
        for digest in right:
            assert await _pull(uses, digest) == content


async def test_sessions_are_counted_for_each_principal(database: Database, tmp_path: Path) -> None:
    """One principal's open uploads are no other's."""
    uses = _uses(database, MemoryBlobStore(), tmp_path)
    start = replace(uses.start_upload, limits=replace(uses.start_upload.limits, sessions_at_most=2))
    other = replace(ANONYMOUS, id="other")

    first, _ = [await start(ANONYMOUS, NAME, Algorithm.SHA256) for _ in range(2)]
    with pytest.raises(TooManyRequests):
        await start(ANONYMOUS, NAME, Algorithm.SHA256)
    await start(other, NAME, Algorithm.SHA256)
    await uses.cancel_upload(ANONYMOUS, NAME, first)
    await start(ANONYMOUS, NAME, Algorithm.SHA256)


async def _whole(content: bytes) -> AsyncGenerator[bytes, None]:  # ruff: ignore[unused-async]  a body is asynchronous
    yield content
