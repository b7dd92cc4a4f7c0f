"""The blocking half of the filesystem store: what its threads do. Raises OSError, ObjectUnknown and StoreFull."""

import errno
import os
import secrets
from collections.abc import Generator
from pathlib import Path

from entrepot.storage.chunks import MIB
from entrepot.storage.errors import ObjectUnknown, StoreFull
from entrepot.storage.keys import is_key, is_shard

PIECE = MIB
_ROOM_CHECKED_EVERY = 64 * MIB
_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW
_CLOSED = -1
_PROBE = b"entrepot"

_flush = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
_flush_entries = os.fsync


class Place:
    """Where the object of a key lies below ``root``; the key was checked before.

    Without ``witness``, the root or a file in it, nothing is known about objects.
    """

    __slots__ = ("key", "path", "root", "shard", "witness")

    def __init__(self, root: Path, witness: Path, key: str) -> None:
        self.root = root
        self.witness = witness
        self.key = key
        self.path = root / key
        self.shard = self.path.parent

    def open(self, flags: int) -> int:
        """A descriptor of the object; raises ObjectUnknown, or FileNotFoundError when the witness is gone too."""
        try:
            return os.open(self.path, flags | _OPEN)
        except FileNotFoundError:
            self.witness.stat()
            raise ObjectUnknown(self.key) from None

    def create(self) -> int:
        """A descriptor of the object, made if there is none, with the directories that hold it.

        Never makes the root, nor anything in it without the witness: it may be the mount point of a disk that is gone.
        """
        flags = os.O_WRONLY | os.O_CREAT | _OPEN
        try:
            return os.open(self.path, flags, _FILE_MODE)
        except FileNotFoundError:
            self.witness.stat()
            _make_directory(self.shard.parent)
            _make_directory(self.shard)
            return os.open(self.path, flags, _FILE_MODE)

    def size(self) -> int:
        """The object's length in bytes."""
        try:
            return self.path.lstat().st_size
        except FileNotFoundError:
            self.witness.stat()
            raise ObjectUnknown(self.key) from None

    def delete(self) -> None:
        """Unlink the object if it is there; its directory stays."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            self.witness.stat()

    def flush(self, directories: list[Path]) -> None:
        """Flush the object's bytes and length, then ``directories``, from the object upwards."""
        descriptor = self.open(os.O_RDONLY)
        try:
            _flush(descriptor)
        finally:
            os.close(descriptor)
        for directory in directories:
            _flush_directory(directory)


class Writing:
    """One append: the file is opened for the first write, or at the end if there was none."""

    def __init__(self, place: Place, offset: int, reserve: int) -> None:
        self._place = place
        self._offset = offset
        self._reserve = reserve
        self._length = offset
        self._room_checked_at: int | None = None
        self._descriptor = _CLOSED

    def write(self, data: bytes) -> None:
        """Write all of ``data`` at the end."""
        if self._room_checked_at is None or self._length - self._room_checked_at >= _ROOM_CHECKED_EVERY:
            check_room(self._place.root, self._reserve)  # the first time before anything is cut off
            self._room_checked_at = self._length
        self._open()
        rest = memoryview(data)
        while rest:
            # A full disk or RLIMIT_FSIZE first cuts a write short; the next one tells the reason.
            written = os.pwrite(self._descriptor, rest, self._length)
            if written == 0:
                raise OSError(errno.EIO, "nothing was written")
            self._length += written
            rest = rest[written:]

    def finish(self) -> int:
        """Close the file and return its length in bytes."""
        self._open()
        self.close()
        return self._length

    def close(self) -> None:
        """Close the file if it is open."""
        descriptor, self._descriptor = self._descriptor, _CLOSED
        if descriptor != _CLOSED:
            os.close(descriptor)

    def _open(self) -> None:
        if self._descriptor != _CLOSED:
            return
        self._descriptor = self._place.open(os.O_WRONLY) if self._offset else self._place.create()
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:
            raise ObjectUnknown(self._place.key)
        if size > self._offset:
            os.ftruncate(self._descriptor, self._offset)


class Reading:
    """One read: the file is opened for the first piece and closed with the last."""

    def __init__(self, place: Place, start: int, stop: int) -> None:
        self._place = place
        self._position = start
        self._stop = stop
        self._descriptor = _CLOSED
        self.ended = False

    def piece(self) -> bytes:
        """The next piece, empty only when the range is; sets ``ended`` with the last."""
        if self._descriptor == _CLOSED:
            self._descriptor = self._place.open(os.O_RDONLY)
            if os.fstat(self._descriptor).st_size < self._stop:
                raise ObjectUnknown(self._place.key)
        wanted = min(PIECE, self._stop - self._position)
        piece = os.pread(self._descriptor, wanted, self._position)
        if wanted and not piece:
            raise ObjectUnknown(self._place.key)  # cut off since it was opened
        self._position += len(piece)
        if self._position == self._stop:
            self.ended = True
            self.close()
        return piece

    @property
    def is_open(self) -> bool:
        """Whether a descriptor is held."""
        return self._descriptor != _CLOSED

    def close(self) -> None:
        """Close the file if it is open."""
        descriptor, self._descriptor = self._descriptor, _CLOSED
        if descriptor != _CLOSED:
            os.close(descriptor)


def keys_below(root: Path, witness: Path) -> Generator[str, None, None]:
    """Every key whose object is a file; whatever else lies in the directories is passed over."""
    for shard in _shards_in(root / "objects", witness):
        try:
            entries = os.scandir(root / "objects" / shard)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                key = f"objects/{shard}/{entry.name}"
                if is_key(key) and entry.is_file(follow_symlinks=False):
                    yield key


def probe(root: Path, witness: Path, reserve: int) -> None:
    """Write, flush, read back and remove a few bytes beside the objects."""
    witness.stat()
    check_room(root, reserve)
    path = root / f".probe-{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, _FILE_MODE)
    try:
        os.pwrite(descriptor, _PROBE, 0)
        _flush(descriptor)
        if os.pread(descriptor, len(_PROBE), 0) != _PROBE:
            raise OSError(errno.EIO, "other bytes came back")
    finally:
        os.close(descriptor)
        path.unlink()


def check_room(root: Path, reserve: int) -> None:
    """Raise StoreFull when less than ``reserve`` bytes are free to unprivileged processes."""
    room = os.statvfs(root)
    is_told = room.f_blocks > 0  # some filesystems have no size
    if is_told and room.f_bavail * room.f_frsize < reserve:
        raise StoreFull(reason="RESERVE")


def _shards_in(directory: Path, witness: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir() if is_shard(path.name)]
    except FileNotFoundError:
        witness.stat()
        return []


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(_DIRECTORY_MODE)
    except FileExistsError:
        return  # made by an earlier object or by another process a moment ago


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _flush_entries(descriptor)
    finally:
        os.close(descriptor)
