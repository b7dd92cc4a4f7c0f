"""What the filesystem store keeps when the power goes, on a real ext4 whose journal stops at that moment."""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from entrepot.storage import BlobStore, FilesystemBlobStore, new_key
from entrepot.testing.blob_store import DurableBlobStoreContract, PowerCut, chunks, listed

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)
WITHOUT_FLUSHING_THE_LOG = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: nothing reaches the disk any more, as without power
COMMAND_SECONDS = 20


class Disk:
    """An ext4 filesystem in a file, which can be cut off and mounted again."""

    def __init__(self, image: Path, path: Path) -> None:
        self._image = image
        self.path = path

    def make(self) -> None:
        """Make the filesystem."""
        with self._image.open("wb") as file:
            file.truncate(64 * 1024 * 1024)
        checked("mkfs.ext4", "-q", "-F", self._image)
        self.path.mkdir()

    def mount(self) -> None:
        """Mount it; the journal is replayed if need be."""
        checked("mount", "-o", "loop", self._image, self.path)

    def take_away(self) -> None:
        """Unmount it, whoever still uses it."""
        checked("umount", "--lazy", self.path)

    def cut(self) -> None:
        """Lose whatever is not on the disk or in its journal, and start again."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(descriptor)
        checked("umount", self.path)
        self.mount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A mounted disk; in CI its absence is a failure, elsewhere the test is left out."""
    with ExitStack() as mounted:
        disk = Disk(tmp_path / "disk.img", tmp_path / "disk")
        try:
            disk.make()
            disk.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            cannot(f"cutting the power needs mkfs.ext4 and the right to mount: {error}")
        mounted.callback(disk.take_away)
        yield disk


def cannot(reason: str) -> None:
    """Fail in CI, where nothing is left out; skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def checked(program: str, *arguments: str | Path) -> None:
    """Run a system program; raises FileNotFoundError without it, CalledProcessError if it fails."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(program)
    subprocess.run([found, *arguments], check=True, capture_output=True, timeout=COMMAND_SECONDS)


class TestFilesystem(DurableBlobStoreContract):
    """The durability of objects as files."""

    @pytest.fixture
    async def stores(self) -> AsyncIterator[list[FilesystemBlobStore]]:
        """Every store that a test opens; closed before the disk is taken away."""
        stores: list[FilesystemBlobStore] = []
        yield stores
        for store in stores:
            await store.close()

    @pytest.fixture
    def store(self, disk: Disk, stores: list[FilesystemBlobStore]) -> BlobStore:
        """A store on the disk."""
        stores.append(FilesystemBlobStore(disk.path, reserve=0))
        return stores[-1]

    @pytest.fixture
    def power_cut(self, disk: Disk, stores: list[FilesystemBlobStore]) -> PowerCut:
        """The disk loses what was not flushed, and another process opens the store."""

        async def cut(store: BlobStore) -> BlobStore:
            await stores[-1].close()
            disk.cut()
            stores.append(FilesystemBlobStore(disk.path, reserve=0))
            return stores[-1]

        return cut

    async def test_the_cut_is_a_cut(self, store: BlobStore, power_cut: PowerCut) -> None:
        """What was never synced is gone, or these tests would show nothing."""
        keys = [new_key() for _ in range(3)]
        for key in keys:
            await store.append(key, 0, chunks(b"not synced"))

        reopened = await power_cut(store)

        assert await listed(reopened) == []
