"""One server per data directory."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

LOCK_NAME: Final = "serve.lock"

_PID_CHARACTERS_AT_MOST = 20


class DirectoryInUseError(Exception):
    """Another server has the directory; ``pid`` is its process, None if it cannot be told."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        super().__init__(f"{directory} is in use by another server{f', process {pid}' if pid else ''}")
        self.pid = pid


@contextlib.contextmanager
def locked(directory: Path) -> Generator[None, None, None]:
    """Hold the directory until the block ends or this process does; raises DirectoryInUseError, OSError.

    The file stays when the lock goes: whoever removed it could hold a lock that nobody else sees.
    """
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUseError(directory, _written_pid(descriptor)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _written_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, _PID_CHARACTERS_AT_MOST, 0).strip()
    return int(text) if text.isdigit() else None
