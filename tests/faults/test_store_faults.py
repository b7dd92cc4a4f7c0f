"""The blob store that fails on demand: it has to strike where a test says, or the tests that use it show nothing."""

import asyncio
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from entrepot.storage import FilesystemBlobStore, MemoryBlobStore, ObjectUnknown, StoreFull, StoreUnavailable, new_key
from entrepot.testing.blob_store import chunks, listed, read_all, stored
from entrepot.testing.faulty_store import FaultyBlobStore, Moment, Step


@pytest.fixture
def store() -> FaultyBlobStore:
    """Faults round objects in memory."""
    return FaultyBlobStore(MemoryBlobStore())


async def call(store: FaultyBlobStore, step: Step, key: str) -> None:
    """One call of the step, to its end."""
    match step:
        case Step.APPEND:
            await store.append(key, 0, chunks(b"new ", b"bytes"))
        case Step.SYNC:
            await store.sync(key)
        case Step.READ:
            await read_all(store, key, 0, 1)
        case Step.SIZE:
            await store.size(key)
        case Step.DELETE:
            await store.delete(key)
        case Step.KEYS:
            await listed(store)
        case Step.PROBE:
            await store.probe()


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
@pytest.mark.parametrize("step", Step)
async def test_the_nth_call_fails(store: FaultyBlobStore, step: Step, moment: Moment) -> None:
    """The planted call fails with the very error, those before and after it do not, and all are counted."""
    keys = [await stored(store) for _ in range(3)]
    counted = store.calls[step]
    error = StoreUnavailable(reason="EIO")
    store.fail(step, error, call=2, moment=moment)

    await call(store, step, keys[0])
    with pytest.raises(StoreUnavailable) as raised:
        await call(store, step, keys[1])
    await call(store, step, keys[2])

    assert raised.value is error
    assert store.calls[step] == counted + 3


async def test_before_and_after(store: FaultyBlobStore) -> None:
    """A fault before leaves the step undone; one after it comes when the step is done."""
    before, after = await stored(store), await stored(store)
    store.fail(Step.DELETE, StoreUnavailable())
    store.fail(Step.DELETE, StoreUnavailable(), call=2, moment=Moment.AFTER)

    with pytest.raises(StoreUnavailable):
        await store.delete(before)
    with pytest.raises(StoreUnavailable):
        await store.delete(after)

    assert await listed(store) == [before]


async def test_midway(store: FaultyBlobStore) -> None:
    """A fault midway in an append keeps the first chunk, and one in a read comes after the first piece."""
    key = new_key()
    store.fail(Step.APPEND, StoreFull(reason="ENOSPC"), moment=Moment.MIDWAY)
    store.fail(Step.READ, StoreUnavailable(), call=2, moment=Moment.MIDWAY)

    with pytest.raises(StoreFull):
        await store.append(key, 0, chunks(b"first", b"second"))
    assert await read_all(store, key) == b"first"

    async with aclosing(store.read(key, 0, 5)) as pieces:
        assert await anext(pieces) == b"first"
        with pytest.raises(StoreUnavailable):
            await anext(pieces)


async def test_every_call_until_mended(store: FaultyBlobStore) -> None:
    """A fault of every call lasts until it is mended."""
    key = await stored(store, b"x")
    store.fail(Step.SIZE, StoreUnavailable(), call=None)

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.size(key)
    store.mend()

    assert await store.size(key) == 1


async def test_a_call_can_be_held(store: FaultyBlobStore) -> None:
    """A held call waits where it is until it is let go; others pass meanwhile."""
    key = await stored(store, b"x")
    hold = store.hold(Step.SYNC)
    syncing = asyncio.create_task(store.sync(key))
    await hold.reached()

    await store.sync(key)
    assert not syncing.done()
    hold.let_go()

    await asyncio.wait_for(syncing, timeout=10)


def test_impossible_faults(store: FaultyBlobStore) -> None:
    """A fault that could never strike is refused when it is planted."""
    with pytest.raises(ValueError, match="no middle"):
        store.fail(Step.SYNC, ObjectUnknown("k"), moment=Moment.MIDWAY)
    with pytest.raises(ValueError, match="counted from 1"):
        store.fail(Step.SYNC, ObjectUnknown("k"), call=0)


KILLED = """
import asyncio, sys
from pathlib import Path
from entrepot.storage import FilesystemBlobStore
from entrepot.testing.blob_store import chunks
from entrepot.testing.faulty_store import FaultyBlobStore, Moment, Step

async def main() -> None:
    store = FaultyBlobStore(FilesystemBlobStore(Path(sys.argv[1]), reserve=0))
    store.kill(Step.APPEND, call=2, moment=Moment.MIDWAY)
    length = await store.append(sys.argv[2], 0, chunks(b"kept"))
    await store.append(sys.argv[2], length, chunks(b"x" * 1_000_000, b"y" * 1_000_000))
    print("still alive")

asyncio.run(main())
"""


def kill_in_append(root: Path, key: str) -> tuple[int, str]:
    """Return code and output of a process that dies in its second append."""
    command = [sys.executable, "-c", KILLED, str(root), key]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


async def test_a_killed_process_leaves_its_appends(tmp_path: Path) -> None:
    """A process that is killed within an append leaves what it had appended before, and the object can go on."""
    key = new_key()

    assert await asyncio.to_thread(kill_in_append, tmp_path, key) == (-signal.SIGKILL, "")

    store = FilesystemBlobStore(tmp_path, reserve=0)
    assert await read_all(store, key, 0, 4) == b"kept"
    assert await store.append(key, 4, chunks(b" and more")) == 13
    assert await read_all(store, key) == b"kept and more"
    await store.close()
