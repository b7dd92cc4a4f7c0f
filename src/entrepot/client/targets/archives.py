"""Writing archives: an image is gathered in a folder beside, and becomes an archive when it is whole."""

import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from typing_extensions import override

from entrepot.client.errors import UnsupportedHere
from entrepot.client.files import file_errors, in_thread
from entrepot.client.progress import Progress
from entrepot.client.references import ImageReference
from entrepot.client.targets.docker_archive import MANIFEST_FILE, docker_manifest, layer_file
from entrepot.client.targets.layout import INDEX_FILE, LAYOUT_FILE, Layout, blob_name
from entrepot.client.targets.port import BlobContent
from entrepot.oci import Descriptor, Digest, Manifest, Tag, parse_manifest


class OciArchive(Layout):
    """Implements Writable: a tar archive of a layout. What was gathered stays beside it until it is whole."""

    def __init__(self, path: Path, label: str) -> None:
        self._archive = path
        self._stage = path.with_name(f"{path.name}.partial")
        self._held: set[Digest] = set()
        super().__init__(self._stage, label)
        with file_errors(self._stage):
            # What an earlier attempt fetched is of use, but its index is of another archive.
            (self._stage / INDEX_FILE).unlink(missing_ok=True)

    @override
    async def tagged(self, tag: Tag) -> None:
        """An archive is always written anew."""
        del tag

    @override
    async def has_manifest(self, descriptor: Descriptor) -> bool:
        """An archive is always written anew, from what was fetched before as far as it is there."""
        return False

    @override
    async def put_blob(self, content: BlobContent, progress: Progress) -> None:
        """Fetch the blob unless an earlier attempt did."""
        self._held.add(content.descriptor.digest)
        await super().put_blob(content, progress)

    @override
    async def put_manifest(self, descriptor: Descriptor, content: bytes, tags: Sequence[Tag]) -> None:
        """Take a manifest."""
        self._held.add(descriptor.digest)
        await super().put_manifest(descriptor, content, tags)

    @override
    async def finish(self) -> None:
        """Write the archive and remove what was gathered."""
        await super().finish()
        with file_errors(self._archive, kept=f"{self._stage} is kept, and gone on with"):
            await in_thread(self._write)

    def _write(self) -> None:
        partial = self._archive.with_name(f".{self._archive.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                self._pack(file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._archive)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        shutil.rmtree(self._stage)

    def _pack(self, file: IO[bytes]) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name in (LAYOUT_FILE, INDEX_FILE):
                _add(archive, name, self._stage / name)
            for digest in sorted(self._held):
                _add(archive, blob_name(digest), self._path(digest))


class DockerArchiveWriter(OciArchive):
    """Implements Writable: one image as `docker load` takes it; an index has to be narrowed to a platform before."""

    def __init__(self, path: Path, label: str, names: Sequence[ImageReference]) -> None:
        super().__init__(path, label)
        self._names = names
        self._image: Manifest | None = None

    @override
    async def put_manifest(self, descriptor: Descriptor, content: bytes, tags: Sequence[Tag]) -> None:
        """Take the image; raises UnsupportedHere for an index, and for a second image."""
        manifest = parse_manifest(content, descriptor.media_type)
        if manifest.is_index or self._image is not None:
            cause = "a docker archive holds one platform"
            raise UnsupportedHere(self.name, reason="index", cause=cause, next_command="--platform OS/ARCHITECTURE")
        self._image = manifest
        await super().put_manifest(descriptor, content, tags)

    @override
    def _pack(self, file: IO[bytes]) -> None:
        image = self._image
        assert image is not None
        assert image.config is not None
        listed = docker_manifest(image.config, image.layers, self._names)
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, f"{image.config.digest.encoded}.json", self._path(image.config.digest))
            for layer in {layer.digest: layer for layer in image.layers}.values():
                _add(archive, layer_file(layer), self._path(layer.digest))
            entry = tarfile.TarInfo(MANIFEST_FILE)
            entry.size = len(listed)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(listed))


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Add a file without owner and times, so that the same image makes the same archive."""
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    entry.mode = 0o644
    with path.open("rb") as file:
        archive.addfile(entry, file)
