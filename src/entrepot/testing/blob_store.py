"""The contract of the ``BlobStore`` port, as suites that a back end's tests subclass.

A subclass gives a fixture ``store``, fresh and empty for each test; what else a suite needs, its docstring says.
The tests are coroutines: run them with pytest-asyncio in auto mode.
"""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.storage import BlobStore, ObjectUnknown, new_key

PowerCut: TypeAlias = Callable[[BlobStore], Awaitable[BlobStore]]
"""Cuts the power under a store and gives the store that is there after the next start."""

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 40  # 10 KiB in which every position within 256 bytes can be told from its neighbours

BAD_KEYS = [
    "",
    "objects",
    "objects/ab",
    "objects/ab/",
    "objects/ab/../../../../../../../../../etc",
    "objects/../ab/0123456789abcdef0123456789abcdef",
    "../objects/ab/0123456789abcdef0123456789abcdef",
    "/objects/ab/0123456789abcdef0123456789abcdef",
    "objects//0123456789abcdef0123456789abcdef",
    "objects/ab/0123456789abcdef0123456789abcde",
    "objects/ab/0123456789abcdef0123456789abcdef0",
    "objects/ab/0123456789ABCDEF0123456789abcdef",
    "objects/AB/0123456789abcdef0123456789abcdef",
    "objects/ab/0123456789abcdef0123456789abcdef\n",
    "objects/ab/0123456789abcdef0123456789abcde\0",
    "objects/ab/0123456789abcdef0123456789abcde\N{ARABIC-INDIC DIGIT ONE}",
    "blobs/ab/0123456789abcdef0123456789abcdef",
]


async def chunks(  # ruff: ignore[unused-async]  an iterator has to be asynchronous for the port
    *pieces: bytes, error: BaseException | None = None
) -> AsyncIterator[bytes]:
    """``pieces`` one after the other, then ``error`` if there is one."""
    for piece in pieces:
        yield piece
    if error is not None:
        raise error


async def repeated(piece: bytes, times: int) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  likewise
    """``piece`` so many times; in memory once."""
    for _ in range(times):
        yield piece


async def endless(piece: bytes, started: asyncio.Event) -> AsyncIterator[bytes]:
    """``piece`` again and again; sets ``started`` after the second."""
    yield piece
    while True:
        yield piece
        started.set()
        await asyncio.sleep(0)


async def stalled(piece: bytes, started: asyncio.Event) -> AsyncIterator[bytes]:
    """``piece``, then nothing, ever, as a client does that went away without a word; sets ``started`` in between."""
    yield piece
    started.set()
    await asyncio.Event().wait()


async def read_all(store: BlobStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes ``start`` to ``stop``, by default to the end."""
    end = await store.size(key) if stop is None else stop
    return b"".join([piece async for piece in store.read(key, start, end)])


async def listed(store: BlobStore) -> list[str]:
    """Every key."""
    return [key async for key in store.keys()]  # ruff: ignore[in-dict-keys]  a store is no dictionary


async def stored(store: BlobStore, content: bytes = CONTENT) -> str:
    """The key of a new object with ``content``."""
    key = new_key()
    await store.append(key, 0, chunks(content))
    return key


class BlobStoreContract:
    """What every blob store does."""

    async def test_appended_bytes_come_back(self, store: BlobStore) -> None:
        """An append at 0 makes an object, and its bytes are read as they were written."""
        key = new_key()

        length = await store.append(key, 0, chunks(CONTENT[:1], CONTENT[1:5000], b"", CONTENT[5000:]))

        assert length == len(CONTENT)
        assert await store.size(key) == len(CONTENT)
        assert await read_all(store, key) == CONTENT

    async def test_append_goes_on_at_the_end(self, store: BlobStore) -> None:
        """Appends at the object's length continue it, and each returns the new length."""
        key = new_key()

        lengths = [await store.append(key, at, chunks(CONTENT[at : at + 2500])) for at in range(0, 10240, 2500)]

        assert lengths == [2500, 5000, 7500, 10000, 10240]
        assert await read_all(store, key) == CONTENT

    async def test_append_without_bytes_makes_an_empty_object(self, store: BlobStore) -> None:
        """An empty object exists, is listed, and reads as nothing."""
        key = new_key()

        assert await store.append(key, 0, chunks()) == 0

        assert await store.size(key) == 0
        assert await read_all(store, key) == b""
        assert await listed(store) == [key]

    @pytest.mark.parametrize("offset", [0, 1, 4096, 10239])
    @pytest.mark.parametrize("more", [b"", b"new"])
    async def test_append_cuts_off_what_stood_behind(self, store: BlobStore, offset: int, more: bytes) -> None:
        """An append before the end drops the old bytes from there on, also when it brings none."""
        key = await stored(store)

        length = await store.append(key, offset, chunks(more))

        assert length == offset + len(more)
        assert await read_all(store, key) == CONTENT[:offset] + more

    async def test_append_beyond_the_end_is_refused(self, store: BlobStore) -> None:
        """An append that would leave a gap raises ObjectUnknown and changes nothing."""
        key = await stored(store)

        with pytest.raises(ObjectUnknown):
            await store.append(key, len(CONTENT) + 1, chunks(b"gap"))

        assert await read_all(store, key) == CONTENT

    async def test_append_to_no_object_is_refused(self, store: BlobStore) -> None:
        """An append at another offset than 0 needs an object and makes none."""
        key = new_key()

        with pytest.raises(ObjectUnknown):
            await store.append(key, 1, chunks(b"gap"))

        assert await listed(store) == []

    @pytest.mark.parametrize("pieces", [(), (b"kept ",), (b"kept ", b"too")])
    async def test_an_error_of_the_chunks_passes_through(self, store: BlobStore, pieces: tuple[bytes, ...]) -> None:
        """The very error of the iterator comes out of the append, and the bytes before it stay."""
        key = new_key()
        error = ConnectionResetError("the client went away")

        with pytest.raises(ConnectionResetError) as raised:
            await store.append(key, 0, chunks(*pieces, error=error))

        assert raised.value is error
        assert await read_all(store, key) == b"".join(pieces)

    async def test_an_error_of_the_chunks_keeps_what_was_appended_before(self, store: BlobStore) -> None:
        """An append that breaks off leaves the earlier bytes and its own before the error."""
        key = await stored(store)

        with pytest.raises(ConnectionResetError):
            await store.append(key, len(CONTENT), chunks(b"more", error=ConnectionResetError()))

        assert await read_all(store, key) == CONTENT + b"more"

    async def test_chunks_are_not_closed(self, store: BlobStore) -> None:
        """An append that fails leaves the rest of the iterator to the caller."""
        key = new_key()
        body = chunks(b"first", b"second")

        with pytest.raises(ObjectUnknown):
            await store.append(key, 1, body)

        rest = [piece async for piece in body]
        assert rest in ([b"first", b"second"], [b"second"], [])
        assert await store.append(key, 0, chunks(*rest)) == sum(map(len, rest))

    async def test_a_cancelled_append_keeps_earlier_bytes(self, store: BlobStore) -> None:
        """A cancelled append leaves what was there before it, at most with bytes behind, and the object can go on."""
        key = await stored(store)
        await store.sync(key)
        started = asyncio.Event()
        appending = asyncio.create_task(store.append(key, len(CONTENT), stalled(b"more", started)))
        await started.wait()

        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending

        assert (await read_all(store, key)).startswith(CONTENT)
        assert await store.append(key, len(CONTENT), chunks(b"else")) == len(CONTENT) + 4
        assert await read_all(store, key) == CONTENT + b"else"

    async def test_a_cancelled_append_writes_no_more(self, store: BlobStore) -> None:
        """Once a cancelled append has ended, another writer of the object is not disturbed."""
        key = new_key()
        started = asyncio.Event()
        appending = asyncio.create_task(store.append(key, 0, endless(b"\xff" * MIB, started)))
        await started.wait()

        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        await store.append(key, 0, repeated(b"\0" * MIB, 4))

        assert await read_all(store, key) == bytes(4 * MIB)

    async def test_cancelling_again_and_again_is_safe(self, store: BlobStore) -> None:
        """Cancelling an append a second time while it winds up neither hangs nor leaves it writing."""
        key = new_key()
        started = asyncio.Event()
        appending = asyncio.create_task(store.append(key, 0, endless(b"\xff" * MIB, started)))
        await started.wait()

        while not appending.done():
            appending.cancel()
            await asyncio.sleep(0)
        await store.append(key, 0, chunks(b"fresh"))

        assert appending.cancelled()
        assert await read_all(store, key) == b"fresh"

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 0), (0, 1), (0, 10240), (1, 10239), (255, 257), (4096, 8192), (10239, 10240), (77, 77)]
    )
    async def test_ranges(self, store: BlobStore, start: int, stop: int) -> None:
        """A read gives exactly the bytes from the start to before the stop."""
        key = await stored(store)

        assert await read_all(store, key, start, stop) == CONTENT[start:stop]

    async def test_pieces_are_bounded(self, store: BlobStore) -> None:
        """A read comes in pieces of 1 to 1048576 bytes."""
        key = new_key()
        await store.append(key, 0, repeated(CONTENT, 256))

        pieces = [piece async for piece in store.read(key, 5, 256 * len(CONTENT) - 5)]

        assert all(1 <= len(piece) <= MIB for piece in pieces)
        assert b"".join(pieces) == (CONTENT * 256)[5:-5]

    @pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (5, 9)])
    async def test_reading_no_object(self, store: BlobStore, start: int, stop: int) -> None:
        """A read without an object raises ObjectUnknown before the first piece, for an empty range too."""
        key = new_key()

        with pytest.raises(ObjectUnknown) as raised:
            await anext(store.read(key, start, stop))

        assert raised.value.key == key

    @pytest.mark.parametrize("start", [0, 10240, 10241])
    async def test_reading_beyond_the_end(self, store: BlobStore, start: int) -> None:
        """A read beyond the end raises ObjectUnknown, and what came before is right."""
        key = await stored(store)
        pieces: list[bytes] = []

        with pytest.raises(ObjectUnknown):
            await _collect(store.read(key, start, len(CONTENT) + 1), pieces)

        assert CONTENT[start:].startswith(b"".join(pieces))

    async def test_a_read_can_stop_early(self, store: BlobStore) -> None:
        """A reader that closes after the first piece leaves an object that is still whole."""
        key = new_key()
        await store.append(key, 0, repeated(CONTENT, 512))

        async with contextlib.aclosing(store.read(key, 0, 512 * len(CONTENT))) as pieces:
            first = await anext(pieces)

        assert await read_all(store, key) == CONTENT * 512
        assert (CONTENT * 512).startswith(first)

    async def test_a_read_can_be_cancelled(self, store: BlobStore) -> None:
        """A cancelled reader ends with CancelledError, and others read on."""
        key = new_key()
        await store.append(key, 0, repeated(CONTENT, 512))
        begun = asyncio.Event()

        async def read_for_ever() -> None:
            while True:
                async with contextlib.aclosing(store.read(key, 0, 512 * len(CONTENT))) as pieces:
                    async for _ in pieces:
                        begun.set()
                        await asyncio.sleep(0)

        reading = asyncio.create_task(read_for_ever())
        await begun.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

        assert await read_all(store, key) == CONTENT * 512

    async def test_size_and_sync_of_no_object(self, store: BlobStore) -> None:
        """Neither size nor sync make up an object."""
        key = new_key()

        with pytest.raises(ObjectUnknown):
            await store.size(key)
        with pytest.raises(ObjectUnknown):
            await store.sync(key)

        assert await listed(store) == []

    async def test_sync_can_be_repeated(self, store: BlobStore) -> None:
        """A sync changes no byte, and a second one is as good as the first."""
        key = await stored(store)

        await store.sync(key)
        await store.sync(key)

        assert await read_all(store, key) == CONTENT

    async def test_delete_removes_the_object(self, store: BlobStore) -> None:
        """A deleted object is unknown everywhere, and deleting it again is no error."""
        key, other = await stored(store), await stored(store)

        await store.delete(key)
        await store.delete(key)

        with pytest.raises(ObjectUnknown):
            await store.size(key)
        with pytest.raises(ObjectUnknown):
            await read_all(store, key, 0, 1)
        assert await listed(store) == [other]

    async def test_a_deleted_key_starts_afresh(self, store: BlobStore) -> None:
        """Nothing of a deleted object is left for one that is made under the same key."""
        key = await stored(store)
        await store.sync(key)
        await store.delete(key)

        await store.append(key, 0, chunks(b"fresh"))
        await store.sync(key)

        assert await read_all(store, key) == b"fresh"

    async def test_keys_are_listed_once_each(self, store: BlobStore) -> None:
        """The listing has every key, synced or not, in one shard or in many, and nothing else."""
        keys = [f"objects/{shard:02x}/{number:032x}" for shard in (0, 10, 255) for number in range(20)]
        for key in keys:
            await store.append(key, 0, chunks(b"x"))

        found = await listed(store)

        assert sorted(found) == sorted(keys)

    async def test_a_listing_can_stop_early(self, store: BlobStore) -> None:
        """Closing a listing after its first key does no harm."""
        keys = {await stored(store), await stored(store)}

        async with contextlib.aclosing(store.keys()) as listing:
            assert await anext(listing) in keys

        assert set(await listed(store)) == keys

    async def test_objects_do_not_disturb_each_other(self, store: BlobStore) -> None:
        """Appends, reads and deletes of many objects at a time keep each one's bytes."""
        doomed = [await stored(store) for _ in range(8)]
        keys = [new_key() for _ in range(24)]

        async def write(number: int, key: str) -> None:
            piece = bytes([number]) * 50_000
            length = 0
            for _ in range(4):
                length = await store.append(key, length, repeated(piece, 3))
                assert await read_all(store, key, 0, 1) == piece[:1]
            await store.sync(key)

        await asyncio.gather(*map(write, range(24), keys), *map(store.delete, doomed))

        for number, key in enumerate(keys):
            assert await read_all(store, key) == bytes([number]) * 600_000
        assert set(await listed(store)) == set(keys)

    async def test_a_read_beside_an_append(self, store: BlobStore) -> None:
        """What was appended can be read while more is being appended."""
        key = await stored(store)
        started = asyncio.Event()
        appending = asyncio.create_task(store.append(key, len(CONTENT), stalled(b"more", started)))
        await started.wait()

        content = await read_all(store, key, 0, len(CONTENT))

        appending.cancel()
        await asyncio.wait([appending])
        assert content == CONTENT

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_bad_keys_are_refused(self, store: BlobStore, key: str) -> None:
        """A key outside the grammar is a ValueError in every method, and touches nothing."""
        with pytest.raises(ValueError, match="not a key"):
            await store.append(key, 0, chunks(b"x"))
        with pytest.raises(ValueError, match="not a key"):
            await store.sync(key)
        with pytest.raises(ValueError, match="not a key"):
            await anext(store.read(key, 0, 1))
        with pytest.raises(ValueError, match="not a key"):
            await store.size(key)
        with pytest.raises(ValueError, match="not a key"):
            await store.delete(key)

        assert await listed(store) == []

    async def test_bad_offsets_are_refused(self, store: BlobStore) -> None:
        """Negative offsets and ranges that run backwards are ValueErrors."""
        key = await stored(store)

        with pytest.raises(ValueError, match="offset"):
            await store.append(key, -1, chunks(b"x"))
        with pytest.raises(ValueError, match="range"):
            await anext(store.read(key, 2, 1))
        with pytest.raises(ValueError, match="range"):
            await anext(store.read(key, -1, 1))

        assert await read_all(store, key) == CONTENT

    async def test_probe_leaves_nothing(self, store: BlobStore) -> None:
        """A probe of a working store raises nothing and leaves no object."""
        await store.probe()

        assert await listed(store) == []

    @given(
        appends=st.lists(
            st.tuples(st.floats(0, 1), st.lists(st.binary(max_size=2000), max_size=6), st.booleans()), max_size=8
        )
    )
    # One store serves all examples, each under a new key; and each back end runs the test by itself.
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    async def test_any_appends(self, store: BlobStore, appends: list[tuple[float, list[bytes], bool]]) -> None:
        """After any appends at any offsets, broken off or not, an object is what a plain byte string would be."""
        key = await stored(store, b"")
        model = b""
        for share, pieces, breaks_off in appends:
            offset = round(share * len(model))
            model = model[:offset] + b"".join(pieces)
            error = ConnectionResetError() if breaks_off else None
            with contextlib.suppress(ConnectionResetError):
                assert await store.append(key, offset, chunks(*pieces, error=error)) == len(model)

        assert await read_all(store, key) == model


class StreamingBlobStoreContract:
    """What a blob store does whose objects may be larger than memory."""

    async def test_memory_does_not_grow_with_the_body(self, store: BlobStore) -> None:
        """Appending 96 MiB in small and in large chunks and reading them back takes less than 8 MiB."""
        key = new_key()
        small, large = bytes(16 * 1024), bytes(4 * MIB)
        received = 0
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            length = await store.append(key, 0, repeated(small, 4096))
            length = await store.append(key, length, repeated(large, 8))
            async for piece in store.read(key, 0, length):
                received += len(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert length == received == 96 * MIB
        assert peak - before < 8 * MIB

    async def test_one_byte_chunks_take_no_more_memory(self, store: BlobStore) -> None:
        """A body of 100000 chunks of one byte takes less than 1 MiB."""
        key = new_key()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            length = await store.append(key, 0, repeated(b"x", 100_000))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert peak - before < MIB
        assert await read_all(store, key) == b"x" * length == b"x" * 100_000


class DurableBlobStoreContract:
    """What survives a power cut; needs a fixture ``power_cut`` of type ``PowerCut`` besides ``store``."""

    async def test_synced_bytes_survive(self, store: BlobStore, power_cut: PowerCut) -> None:
        """Bytes appended before the last sync are there after a power cut; later ones are not promised."""
        key = new_key()
        await store.append(key, 0, chunks(b"kept"))
        await store.sync(key)
        await store.append(key, 4, chunks(b"lost"))

        reopened = await power_cut(store)

        assert await read_all(reopened, key, stop=4) == b"kept"

    async def test_a_synced_object_survives_whole(self, store: BlobStore, power_cut: PowerCut) -> None:
        """An object that was synced at its end has every byte and is listed."""
        key = new_key()
        await store.append(key, 0, repeated(CONTENT, 200))
        await store.sync(key)

        reopened = await power_cut(store)

        assert await read_all(reopened, key) == CONTENT * 200
        assert key in await listed(reopened)

    async def test_each_sync_counts(self, store: BlobStore, power_cut: PowerCut) -> None:
        """What a second sync covered survives as what the first did."""
        key = new_key()
        length = await store.append(key, 0, chunks(CONTENT))
        await store.sync(key)
        await store.append(key, length, chunks(CONTENT))
        await store.sync(key)

        reopened = await power_cut(store)

        assert await read_all(reopened, key) == CONTENT * 2

    async def test_objects_in_many_shards_survive(self, store: BlobStore, power_cut: PowerCut) -> None:
        """The directories that objects needed survive with them."""
        keys = [f"objects/{shard:02x}/{shard:032x}" for shard in range(0, 256, 16)]
        for key in keys:
            await store.append(key, 0, chunks(key.encode()))
            await store.sync(key)

        reopened = await power_cut(store)

        for key in keys:
            assert await read_all(reopened, key) == key.encode()

    async def test_what_was_not_synced_spoils_nothing(self, store: BlobStore, power_cut: PowerCut) -> None:
        """An object that was cut off while being appended can go on from the last sync."""
        key, other = new_key(), new_key()
        await store.append(key, 0, chunks(CONTENT))
        await store.sync(key)
        await store.append(key, len(CONTENT), repeated(b"\xff" * 4096, 100))
        await store.append(other, 0, repeated(b"\xff" * 4096, 100))

        reopened = await power_cut(store)
        await reopened.append(key, len(CONTENT), chunks(CONTENT))
        await reopened.append(other, 0, chunks(b"again"))

        assert await read_all(reopened, key) == CONTENT * 2
        assert await read_all(reopened, other) == b"again"

    async def test_the_store_goes_on(self, store: BlobStore, power_cut: PowerCut) -> None:
        """After a power cut the same objects survive a second one."""
        key = new_key()
        await store.append(key, 0, chunks(CONTENT))
        await store.sync(key)

        reopened = await power_cut(store)
        await reopened.append(key, len(CONTENT), chunks(b"more"))
        await reopened.sync(key)
        again = await power_cut(reopened)

        assert await read_all(again, key) == CONTENT + b"more"


async def _collect(source: AsyncIterator[bytes], into: list[bytes]) -> None:
    async for piece in source:
        into.append(piece)  # ruff: ignore[manual-list-comprehension]  the pieces before an error count
