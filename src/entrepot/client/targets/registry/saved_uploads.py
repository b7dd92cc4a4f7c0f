"""Upload sessions that outlive the process: which URL a blob was being sent to."""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entrepot.client.state import state_folder, write_private
from entrepot.client.targets.registry.access import Access
from entrepot.oci import Descriptor

SECONDS_KEPT: Final = 7 * 24 * 3600  # registries forget sessions after a week at most
_BYTES_READ: Final = 64 * 1024
_VERSION: Final = 1


@dataclass
class SavedUpload:
    """The session of one blob in one repository; ``location`` is None when there is none."""

    _file: Path | None
    _key: dict[str, str | int]
    location: str | None = None

    def save(self, location: str) -> None:
        """Remember where the session is now; a state folder that cannot be written ends no upload."""
        self.location = location
        if self._file is None:
            return
        content = json.dumps({**self._key, "location": location}).encode()
        with contextlib.suppress(OSError):
            write_private(self._file, content)

    def forget(self) -> None:
        """The session has ended."""
        self.location = None
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)


class SavedUploads:
    """All sessions, a file for each in a folder of the user's."""

    def __init__(self, folder: Path | None = None, *, is_kept: bool = True) -> None:
        self._folder = folder or state_folder() / "uploads"
        self._is_kept = is_kept

    @contextlib.contextmanager
    def of(self, access: Access, descriptor: Descriptor) -> Generator[SavedUpload, None, None]:
        """The session of a blob, for one process at a time: another one starts a session that is not saved."""
        key: dict[str, str | int] = {
            "version": _VERSION,
            "registry": access.origin.registry,
            "host": f"{access.origin.authority}{access.origin.path}",
            "repository": access.route.repository,
            "digest": str(descriptor.digest),
            "size": descriptor.size,
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        file = self._folder / f"{name}.json"
        with contextlib.ExitStack() as stack:
            if not (self._is_kept and _lock(stack, file.with_suffix(".lock"))):
                yield SavedUpload(None, key)
                return
            yield SavedUpload(file, key, _location(file, key))

    def tidy(self) -> None:
        """Remove what no registry remembers any more."""
        oldest = time.time() - SECONDS_KEPT
        with contextlib.suppress(OSError):
            for file in self._folder.iterdir():
                if file.stat().st_mtime < oldest:
                    file.unlink(missing_ok=True)


def _lock(stack: contextlib.ExitStack, file: Path) -> bool:
    """Take the lock until the stack is closed; False if somebody has it, or there can be none."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, opened)
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _location(file: Path, key: dict[str, str | int]) -> str | None:
    """The saved location, None for a file that is not there or not ours."""
    try:
        with file.open("rb") as opened:
            saved = json.loads(opened.read(_BYTES_READ))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(saved, dict) or any(saved.get(name) != value for name, value in key.items()):
        return None
    location = saved.get("location")
    return location if isinstance(location, str) else None
