"""What the filesystem store does beyond the contract: flushing, descriptors, stray files, errors."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from entrepot.storage import FilesystemBlobStore, ObjectUnknown, StoreFull, StoreUnavailable, files, filesystem
from entrepot.testing.blob_store import chunks, endless, listed, read_all, repeated, stalled

MIB = 1024 * 1024
KEY = "objects/ab/" + 32 * "0"
SIBLING = "objects/ab/" + 32 * "1"
STRANGER = "objects/cd/" + 32 * "0"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FilesystemBlobStore]:
    """A store in a fresh directory."""
    store = FilesystemBlobStore(tmp_path)
    yield store
    await store.close()


@pytest.fixture
def flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were flushed, in order, below the root; the flushing itself goes on."""
    paths: list[str] = []

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        paths.append(str(path.relative_to(tmp_path)))
        os.fsync(descriptor)

    monkeypatch.setattr(files, "_flush", note)
    monkeypatch.setattr(files, "_flush_entries", note)
    return paths


def descriptors() -> set[str]:
    """What this process has open, as far as it is files."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return {path for path in found if path.startswith("/") and "objects" in path}


def names_in(directory: Path) -> list[str]:
    """What lies in a directory."""
    return [path.name for path in directory.iterdir()]


class TestSync:
    """What is flushed, and how often."""

    async def test_first_object(self, store: FilesystemBlobStore, flushed: list[str]) -> None:
        """The first object is flushed, then its directory and the parents, from the bottom up."""
        await store.append(KEY, 0, chunks(b"x"))
        await store.sync(KEY)

        assert flushed == [KEY, "objects/ab", "objects", "."]

    async def test_directories_are_flushed_only_as_needed(self, store: FilesystemBlobStore, flushed: list[str]) -> None:
        """A directory is flushed once per new object in it, the parents once per shard."""
        await store.append(KEY, 0, chunks(b"x"))
        await store.sync(KEY)
        flushed.clear()

        await store.append(KEY, 1, chunks(b"x"))
        await store.sync(KEY)
        assert flushed == [KEY]
        flushed.clear()

        await store.append(SIBLING, 0, chunks(b"x"))
        await store.sync(SIBLING)
        assert flushed == [SIBLING, "objects/ab"]
        flushed.clear()

        await store.append(STRANGER, 0, chunks(b"x"))
        await store.sync(STRANGER)
        assert flushed == [STRANGER, "objects/cd", "objects", "."]

    @pytest.mark.parametrize("by_another", [False, True])
    async def test_an_object_that_is_made_anew(
        self, store: FilesystemBlobStore, tmp_path: Path, flushed: list[str], by_another: bool
    ) -> None:
        """After a delete, by whatever process, the new object's entry is flushed again."""
        other = FilesystemBlobStore(tmp_path)
        await store.append(KEY, 0, chunks(b"x"))
        await store.sync(KEY)
        await (other if by_another else store).delete(KEY)
        await other.close()
        flushed.clear()

        await store.append(KEY, 0, chunks(b"x"))
        await store.sync(KEY)

        assert flushed == [KEY, "objects/ab"]

    async def test_another_process_trusts_nobody(
        self, store: FilesystemBlobStore, tmp_path: Path, flushed: list[str]
    ) -> None:
        """A store that did not make the object flushes the directories all the same."""
        await store.append(KEY, 0, chunks(b"x"))
        other = FilesystemBlobStore(tmp_path)

        await other.sync(KEY)
        await other.close()

        assert flushed == [KEY, "objects/ab", "objects", "."]

    async def test_a_failed_sync_is_not_remembered(
        self, store: FilesystemBlobStore, flushed: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a sync that failed the next one flushes everything again."""
        await store.append(KEY, 0, chunks(b"x"))
        noting = files._flush_entries
        monkeypatch.setattr(files, "_flush_entries", lambda _: os.fsync(1 << 20))
        with pytest.raises(StoreUnavailable) as raised:
            await store.sync(KEY)
        monkeypatch.setattr(files, "_flush_entries", noting)
        flushed.clear()

        await store.sync(KEY)

        assert raised.value.detail == {"reason": "EBADF"}
        assert flushed == [KEY, "objects/ab", "objects", "."]

    async def test_memory_of_entries_is_bounded(
        self, store: FilesystemBlobStore, flushed: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An entry that was forgotten for others is flushed once more, and no harm is done."""
        monkeypatch.setattr(filesystem, "_ENTRIES_REMEMBERED", 1)
        for key in (KEY, SIBLING):
            await store.append(key, 0, chunks(b"x"))
            await store.sync(key)
        flushed.clear()

        await store.sync(KEY)
        await store.sync(KEY)

        assert flushed == [KEY, "objects/ab", KEY]


class TestDescriptors:
    """No way of ending leaves a file open."""

    async def test_after_appends(self, store: FilesystemBlobStore) -> None:
        """Appends that succeed, fail or are cancelled close their files."""
        await store.append(KEY, 0, chunks(b"x"))
        with pytest.raises(ConnectionResetError):
            await store.append(KEY, 0, repeated_then(ConnectionResetError()))
        with pytest.raises(ObjectUnknown):
            await store.append(KEY, 10**9, chunks(b"x"))
        for body in (stalled, endless):
            started = asyncio.Event()
            appending = asyncio.create_task(store.append(KEY, 0, body(bytes(MIB), started)))
            await started.wait()
            appending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await appending

        assert descriptors() == set()

    async def test_after_reads(self, store: FilesystemBlobStore) -> None:
        """Reads that end, stop early, fail or are cancelled close their files."""
        await store.append(KEY, 0, repeated(bytes(MIB), 4))
        assert len(await read_all(store, KEY)) == 4 * MIB
        with pytest.raises(ObjectUnknown):
            await read_all(store, KEY, 0, 5 * MIB)
        async with aclosing(store.read(KEY, 0, 4 * MIB)) as pieces:
            await anext(pieces)
            assert len(descriptors()) == 1
        for turns in range(12):
            reading = asyncio.create_task(read_all(store, KEY, 0, 4 * MIB))
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])

        assert descriptors() == set()

    async def test_after_listings(self, store: FilesystemBlobStore) -> None:
        """A listing that stops early closes its directory."""
        await store.append(KEY, 0, chunks())
        async with aclosing(store.keys()) as keys:
            await anext(keys)

        assert descriptors() == set()


class TestFiles:
    """What lies in the directory."""

    async def test_objects_lie_under_their_keys(self, store: FilesystemBlobStore, tmp_path: Path) -> None:
        """An object is a file under its key while it is still being appended, and for its owner alone."""
        started = asyncio.Event()
        appending = asyncio.create_task(store.append(KEY, 0, stalled(bytes(MIB), started)))
        await started.wait()
        path = tmp_path / KEY
        assert path.stat().st_size == MIB
        appending.cancel()
        await asyncio.wait([appending])

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    async def test_strays_are_passed_over(self, store: FilesystemBlobStore, tmp_path: Path) -> None:
        """Files that are no objects are neither listed nor in the way."""
        await store.append(KEY, 0, chunks(b"x"))
        (tmp_path / "objects" / "lost+found").mkdir()
        (tmp_path / "objects" / "ef").write_text("a file where a shard would be")
        (tmp_path / "objects" / "ab" / "short").write_text("no key")
        (tmp_path / SIBLING).mkdir()
        (tmp_path / "objects" / "ab" / (32 * "2")).symlink_to("/etc/passwd")

        assert await listed(store) == [KEY]

    async def test_links_are_not_followed(self, store: FilesystemBlobStore, tmp_path: Path) -> None:
        """A symbolic link in an object's place is neither read nor written through."""
        await store.append(SIBLING, 0, chunks(b"x"))
        target = tmp_path / "secret"
        target.write_text("secret")
        (tmp_path / KEY).symlink_to(target)

        with pytest.raises(StoreUnavailable):
            await read_all(store, KEY, 0, 1)
        with pytest.raises(StoreUnavailable):
            await store.append(KEY, 0, chunks(b"x"))

        assert target.read_text() == "secret"

    async def test_long_listings(self, store: FilesystemBlobStore, tmp_path: Path) -> None:
        """More keys than one slice holds are all listed."""
        await store.append(KEY, 0, chunks())
        directory = (tmp_path / KEY).parent
        for number in range(1, 2500):
            (directory / f"{number:032x}").touch()

        assert len(set(await listed(store))) == 2500

    async def test_probe_leaves_no_file(
        self, store: FilesystemBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A probe removes what it wrote, also if flushing failed."""
        await store.probe()
        monkeypatch.setattr(files, "_flush", lambda _: os.fsync(1 << 20))
        with pytest.raises(StoreUnavailable):
            await store.probe()

        assert names_in(tmp_path) == []


class TestErrors:
    """What the store says when it cannot."""

    async def test_no_root(self, tmp_path: Path) -> None:
        """Without its root (a disk that is not mounted, say) the store is unavailable, and it makes no root."""
        store = FilesystemBlobStore(tmp_path / "gone")

        for call in (
            store.append(KEY, 0, chunks(b"x")),
            store.append(KEY, 1, chunks(b"x")),
            store.sync(KEY),
            store.size(KEY),
            store.delete(KEY),
            read_all(store, KEY, 0, 1),
            listed(store),
            store.probe(),
        ):
            with pytest.raises(StoreUnavailable) as raised:
                await call
            assert raised.value.detail == {"reason": "ENOENT"}
        await store.close()

        assert not (tmp_path / "gone").exists()

    async def test_reserve(self, tmp_path: Path) -> None:
        """With less than the reserve free no byte is appended; reading, deleting and mere cutting off go on."""
        plenty, scarce = FilesystemBlobStore(tmp_path), FilesystemBlobStore(tmp_path, reserve=1 << 62)
        await plenty.append(KEY, 0, chunks(b"kept"))

        for offset in (0, 2):
            with pytest.raises(StoreFull) as raised:
                await scarce.append(KEY, offset, chunks(b"more"))
            assert raised.value.detail == {"reason": "RESERVE"}
        with pytest.raises(StoreFull):
            await scarce.append(SIBLING, 0, chunks(b"more"))
        with pytest.raises(StoreFull):
            await scarce.probe()

        assert await read_all(scarce, KEY) == b"kept"
        assert await listed(scarce) == [KEY]
        assert await scarce.append(KEY, 2, chunks()) == 2
        assert await read_all(scarce, KEY) == b"ke"
        await scarce.delete(KEY)
        assert await listed(scarce) == []
        await plenty.close()
        await scarce.close()

    async def test_reserve_is_looked_at_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A long append looks at the free space every 64 MiB."""
        store = FilesystemBlobStore(tmp_path)
        checks = 0
        check_room = files.check_room

        def counted(root: Path, reserve: int) -> None:
            nonlocal checks
            checks += 1
            check_room(root, reserve)

        monkeypatch.setattr(files, "check_room", counted)
        await store.append(KEY, 0, repeated(bytes(MIB), 130))
        await store.close()

        assert checks == 3

    async def test_closed(self, store: FilesystemBlobStore) -> None:
        """A store that was closed is unavailable, and can be closed again."""
        await store.append(KEY, 0, chunks(b"x"))
        await store.close()
        await store.close()

        with pytest.raises(StoreUnavailable) as raised:
            await store.size(KEY)
        with pytest.raises(StoreUnavailable):
            await store.append(KEY, 0, chunks(b"x"))

        assert raised.value.detail == {"reason": "CLOSED"}

    async def test_cut_off_while_read(self, store: FilesystemBlobStore, tmp_path: Path) -> None:
        """An object that shrinks under a reader ends in ObjectUnknown, not in fewer bytes."""
        await store.append(KEY, 0, repeated(bytes(MIB), 4))
        pieces = store.read(KEY, 0, 4 * MIB)
        await anext(pieces)
        os.truncate(tmp_path / KEY, MIB + 5)

        with pytest.raises(ObjectUnknown):
            assert [len(piece) async for piece in pieces] == []

        assert descriptors() == set()

    async def test_errors_tell_no_paths(self, tmp_path: Path) -> None:
        """What a client could see of an error names neither paths nor keys."""
        store = FilesystemBlobStore(tmp_path / "gone")

        with pytest.raises(StoreUnavailable) as raised:
            await store.size(KEY)
        await store.close()

        assert str(tmp_path) not in f"{raised.value} {raised.value.detail}"
        assert KEY not in f"{raised.value} {raised.value.detail}"


async def repeated_then(error: Exception) -> AsyncIterator[bytes]:  # ruff: ignore[unused-async]  as the port wants it
    """A few large chunks, then ``error``."""
    for _ in range(3):
        yield bytes(MIB)
    raise error
