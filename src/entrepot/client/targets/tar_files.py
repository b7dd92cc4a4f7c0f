"""The files of a tar archive, found by their names and read where they lie: nothing is ever extracted."""

import posixpath
import tarfile
from pathlib import Path
from typing import Final

from entrepot.client.errors import ContentInvalid, NotFound
from entrepot.client.files import file_errors

MEMBERS_AT_MOST: Final = 100_000
_LINKS_FOLLOWED: Final = 8
_COMPRESSED: Final = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class TarFiles:
    """Implements LayoutFiles over an uncompressed archive; links within it are followed, none leads out."""

    def __init__(self, path: Path, label: str) -> None:
        self._path = path
        self._label = label
        self._files: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        with file_errors(path):
            self._scan()

    def _scan(self) -> None:
        with self._path.open("rb") as file:
            head = file.read(8)
        for magic, name in _COMPRESSED.items():
            if head.startswith(magic):
                raise ContentInvalid(
                    self._label,
                    reason="compressed",
                    cause=f"the archive is compressed with {name}",
                    next_command="the same command with the archive decompressed",
                )
        try:
            with tarfile.open(self._path, "r:") as archive:
                for count, member in enumerate(archive):
                    if count >= MEMBERS_AT_MOST:
                        raise ContentInvalid(self._label, reason="too-many", cause=f"over {MEMBERS_AT_MOST} files")
                    self._take(member)
        except tarfile.TarError as error:
            raise ContentInvalid(
                self._label, reason="tar", cause="this is no tar archive", evidence=[str(error)]
            ) from error

    def _take(self, member: tarfile.TarInfo) -> None:
        name = posixpath.normpath(member.name)
        if member.isreg() and not member.issparse():
            self._files[name] = (member.offset_data, member.size)
        elif member.issym():
            self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        elif member.islnk():
            self._links[name] = posixpath.normpath(member.linkname)

    def find(self, name: str) -> tuple[Path, int, int] | None:
        """Where a file lies in the archive."""
        wanted = posixpath.normpath(name)
        for _ in range(_LINKS_FOLLOWED):
            if wanted in self._files:
                start, size = self._files[wanted]
                return (self._path, start, size)
            if wanted not in self._links:
                return None
            wanted = self._links[wanted]
        return None

    def read(self, name: str, at_most: int) -> bytes:
        """A small file."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"{self._label}: {name}", cause="the archive has no such file")
        path, start, size = found
        if size > at_most:
            raise ContentInvalid(f"{self._label}: {name}", reason="too-long", cause=f"it has more than {at_most} bytes")
        with file_errors(path), path.open("rb") as file:
            file.seek(start)
            content = file.read(size)
        if len(content) != size:
            raise ContentInvalid(f"{self._label}: {name}", reason="short", cause="the archive ends too early")
        return content
