"""The filesystem store on disks that are full or read-only, and under a limit of file sizes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from entrepot.storage import BlobStore, FilesystemBlobStore, ObjectUnknown, StoreFull, StoreUnavailable, new_key
from entrepot.testing.blob_store import chunks, listed, read_all, repeated

MIB = 1024 * 1024
MOUNT_SECONDS = 20

Mount: TypeAlias = Callable[[str], Path]
"""Mounts a tmpfs with these options until the test ends."""


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """The ability to mount; in CI its absence is a failure, elsewhere the test is left out."""
    with ExitStack() as mounted:

        def mount(options: str) -> Path:
            path = tmp_path / "disk"
            path.mkdir()
            done = run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
            if done.returncode != 0:
                cannot(f"a disk that fills up needs the right to mount: {done.stderr.partition(chr(10))[0]}")
            mounted.callback(run, "umount", "--lazy", path)
            return path

        yield mount


def cannot(reason: str) -> None:
    """Fail in CI, where nothing is left out; skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a system program to its end."""
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=MOUNT_SECONDS)


async def filled(store: BlobStore) -> str:
    """The key of an object that grew until the disk was full."""
    key = new_key()
    with pytest.raises(StoreFull) as raised:
        await store.append(key, 0, repeated(b"\xff" * MIB, 64))
    assert raised.value.detail == {"reason": "ENOSPC"}
    return key


async def test_a_full_disk_spoils_nothing(mount: Mount) -> None:
    """When the disk fills up the append is refused as full; earlier objects stay whole and can be read and synced."""
    store = FilesystemBlobStore(mount("size=8m"), reserve=0)
    kept = new_key()
    await store.append(kept, 0, repeated(b"kept" * 1000, 100))
    await store.sync(kept)

    key = await filled(store)

    assert await read_all(store, kept) == b"kept" * 100_000
    assert sorted(await listed(store)) == sorted([key, kept])
    await store.sync(kept)
    await store.close()


async def test_a_full_disk_refuses_everything_new(mount: Mount) -> None:
    """On a full disk a new object, more of an old one and the probe are all refused as full."""
    store = FilesystemBlobStore(mount("size=8m"), reserve=0)
    kept = new_key()
    await store.append(kept, 0, chunks(b"x" * 4096))
    await filled(store)

    with pytest.raises(StoreFull):
        await store.append(new_key(), 0, chunks(b"y" * 8192))
    with pytest.raises(StoreFull):
        await store.append(kept, 4096, chunks(b"y" * 8192))
    with pytest.raises(StoreFull):
        await store.probe()

    assert await read_all(store, kept, 0, 4096) == b"x" * 4096
    await store.close()


async def test_deleting_makes_room(mount: Mount) -> None:
    """Deleting on a full disk works and gives the room back."""
    store = FilesystemBlobStore(mount("size=8m"), reserve=0)
    key = await filled(store)

    await store.delete(key)
    again = new_key()
    assert await store.append(again, 0, repeated(b"y" * MIB, 5)) == 5 * MIB
    await store.probe()

    assert await read_all(store, again) == b"y" * 5 * MIB
    await store.close()


async def test_an_append_that_did_not_fit_can_go_on(mount: Mount) -> None:
    """Once there is room, an object that hit the full disk continues from what was synced."""
    store = FilesystemBlobStore(mount("size=8m"), reserve=0)
    hog, key = new_key(), new_key()
    await store.append(hog, 0, repeated(bytes(MIB), 5))
    await store.append(key, 0, chunks(b"a" * MIB))
    await store.sync(key)
    with pytest.raises(StoreFull):
        await store.append(key, MIB, repeated(b"b" * MIB, 4))

    await store.delete(hog)
    await store.append(key, MIB, repeated(b"c" * MIB, 4))

    assert await read_all(store, key) == b"a" * MIB + b"c" * 4 * MIB
    await store.close()


async def test_no_inodes(mount: Mount) -> None:
    """A disk that has room and no inodes is full, and leaves no trace of the object that it refused."""
    store = FilesystemBlobStore(mount("size=8m,nr_inodes=8"), reserve=0)
    keys = [f"objects/ab/{number:032x}" for number in range(10)]
    stored: list[str] = []
    reason: object = None

    try:
        for key in keys:
            await store.append(key, 0, chunks(b"x"))
            stored.append(key)
    except StoreFull as error:
        reason = error.detail["reason"]

    assert reason == "ENOSPC"
    assert 1 <= len(stored) < 8
    assert sorted(await listed(store)) == stored
    with pytest.raises(ObjectUnknown):
        await store.size(keys[len(stored)])
    await store.close()


async def test_the_reserve_stays_free(mount: Mount) -> None:
    """A store leaves its reserve to others: it refuses to begin when less is free, and cutting off makes room."""
    disk = mount("size=8m")
    store = FilesystemBlobStore(disk, reserve=4 * MIB)
    key = new_key()
    await store.append(key, 0, repeated(bytes(MIB), 5))

    with pytest.raises(StoreFull) as raised:
        await store.append(key, MIB, chunks(b"more"))

    assert raised.value.detail == {"reason": "RESERVE"}
    assert await store.size(key) == 5 * MIB
    assert await store.append(key, MIB, chunks()) == MIB
    assert await store.append(key, MIB, chunks(b"more")) == MIB + 4
    await store.close()


async def test_a_read_only_disk(mount: Mount) -> None:
    """A disk that became read-only is unavailable for writing, whatever is asked, and what is there can be read."""
    disk = mount("size=8m")
    store = FilesystemBlobStore(disk, reserve=0)
    kept = new_key()
    await store.append(kept, 0, chunks(b"kept"))
    assert run("mount", "-o", "remount,ro", disk).returncode == 0

    for call in (
        store.append(new_key(), 0, chunks(b"x")),
        store.append(kept, 4, chunks(b"x")),
        store.append(kept, 0, chunks(b"x")),
        store.delete(kept),
        store.probe(),
    ):
        with pytest.raises(StoreUnavailable) as raised:
            await call
        assert raised.value.detail == {"reason": "EROFS"}

    assert await read_all(store, kept) == b"kept"
    await store.close()


FILE_SIZE_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from entrepot.storage import FilesystemBlobStore, StoreFull, new_key
from entrepot.testing.blob_store import read_all, repeated

async def main() -> None:
    store = FilesystemBlobStore(Path(sys.argv[1]), reserve=0)
    kept, key = new_key(), new_key()
    await store.append(kept, 0, repeated(b"kept", 1000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
    try:
        await store.append(key, 0, repeated(b"x" * 700_000, 3))
    except StoreFull as error:
        print(error.detail["reason"], await store.size(key), await read_all(store, kept) == b"kept" * 1000)
    await store.close()

asyncio.run(main())
"""


def test_a_limit_of_file_sizes(tmp_path: Path) -> None:
    """A limit of the process (``ulimit -f``) first cuts a write short and then counts as full."""
    done = subprocess.run(
        [sys.executable, "-c", FILE_SIZE_LIMIT, tmp_path], check=False, capture_output=True, text=True, timeout=60
    )

    assert (done.stdout, done.stderr) == ("EFBIG 1500000 True\n", "")


NO_RIGHTS = """
import asyncio, os, sys
from pathlib import Path
from entrepot.storage import FilesystemBlobStore, StoreUnavailable, new_key
from entrepot.testing.blob_store import chunks

async def main() -> None:
    store = FilesystemBlobStore(Path(sys.argv[1]), reserve=0)
    for call in (store.append(new_key(), 0, chunks(b"x")), store.probe()):
        try:
            await call
        except StoreUnavailable as error:
            print(error.detail["reason"])
    await store.close()

if os.geteuid() == 0:
    os.setegid(65534), os.seteuid(65534)
asyncio.run(main())
"""


def test_a_directory_that_is_not_ours(tmp_path: Path) -> None:
    """A directory that the process may not write in is unavailable."""
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o555)

    done = subprocess.run(
        [sys.executable, "-c", NO_RIGHTS, root], check=False, capture_output=True, text=True, timeout=60
    )

    assert (done.stdout, done.stderr) == ("EACCES\nEACCES\n", "")
