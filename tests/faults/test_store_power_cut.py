"""What the filesystem store keeps when the power goes, on a real ext4 whose journal stops at that moment."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from entrepot.storage import BlobStore, FilesystemBlobStore, new_key
from entrepot.testing.blob_store import DurableBlobStoreContract, PowerCut, chunks, listed
from harness.disks import Disk, mounted_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A mounted disk; in CI its absence is a failure, elsewhere the test is left out."""
    with ExitStack() as mounted:
        try:
            yield mounted.enter_context(mounted_disk(tmp_path / "disk.img", tmp_path / "disk"))
        except (OSError, subprocess.CalledProcessError) as error:
            cannot(f"cutting the power needs mkfs.ext4 and the right to mount: {error}")


def cannot(reason: str) -> None:
    """Fail in CI, where nothing is left out; skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


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
