"""The blob store contract on the back ends that need nothing from outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.storage import BlobStore, FilesystemBlobStore, MemoryBlobStore
from entrepot.testing.blob_store import (
    BlobStoreContract,
    DurableBlobStoreContract,
    PowerCut,
    StreamingBlobStoreContract,
    chunks,
    listed,
)
from entrepot.testing.faulty_store import FaultyBlobStore


class TestMemory(BlobStoreContract, DurableBlobStoreContract):
    """Objects in memory, with a power cut that takes what was not synced."""

    @pytest.fixture
    def store(self) -> BlobStore:
        """A fresh one."""
        return MemoryBlobStore()

    @pytest.fixture
    def power_cut(self) -> PowerCut:
        """The store itself can lose what was not synced."""

        async def cut(store: BlobStore) -> BlobStore:  # ruff: ignore[unused-async]  the ability is asynchronous
            assert isinstance(store, MemoryBlobStore)
            store.power_cut()
            return store

        return cut

    async def test_unsynced_bytes_are_lost(self) -> None:
        """The memory store forgets at a power cut what a disk could forget."""
        store = MemoryBlobStore()
        synced, unsynced = "objects/00/" + 32 * "0", "objects/00/" + 32 * "1"
        await store.append(synced, 0, chunks(b"kept"))
        await store.sync(synced)
        await store.append(synced, 2, chunks(b"changed"))
        await store.append(unsynced, 0, chunks(b"lost"))

        store.power_cut()

        assert await listed(store) == [synced]
        assert await store.size(synced) == 2


class TestFilesystem(BlobStoreContract, StreamingBlobStoreContract):
    """Objects as files; what they survive is shown where power can be cut, among the fault tests."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[BlobStore]:
        """One in a fresh directory."""
        store = FilesystemBlobStore(tmp_path)
        yield store
        await store.close()


class TestFaulty(BlobStoreContract):
    """The wrapper changes nothing while it holds no fault."""

    @pytest.fixture
    def store(self) -> BlobStore:
        """A fresh one round a fresh one."""
        return FaultyBlobStore(MemoryBlobStore())
