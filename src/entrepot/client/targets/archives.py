"""Writing archives: an image is gathered in a folder, and becomes an archive when it is whole."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from entrepot.client.errors import UnsupportedHere
from entrepot.client.files import file_errors, in_thread
from entrepot.client.progress import Progress
from entrepot.client.references import ImageReference
from entrepot.client.targets.docker_archive import MANIFEST_FILE, docker_manifest, layer_file
from entrepot.client.targets.layout import INDEX_FILE, LAYOUT_FILE, Layout, blob_name
from entrepot.client.targets.packing import Entry, packed, packed_size
from entrepot.client.targets.port import BlobContent
from entrepot.client.targets.sinks import Sink
from entrepot.oci import Descriptor, Digest, Manifest, Tag, parse_manifest


class OciArchive(Layout):
    """Implements Writable: a tar archive of a layout. What was gathered stays in ``stage`` until the sink has all."""

    def __init__(self, stage: Path, label: str, sink: Sink) -> None:
        self._stage = stage
        self._sink = sink
        self._held: set[Digest] = set()
        super().__init__(stage, label)
        with file_errors(stage):
            # What an earlier attempt fetched is of use, but its index is of another archive.
            (stage / INDEX_FILE).unlink(missing_ok=True)

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
        """Hand the archive to the sink and remove what was gathered."""
        await super().finish()
        with file_errors(self._stage):
            entries = self._entries()
        await self._sink.take(packed_size(entries), packed(entries))
        await in_thread(shutil.rmtree, self._stage)

    def _entries(self) -> list[Entry]:
        files = [Entry.of(name, self._stage / name) for name in (LAYOUT_FILE, INDEX_FILE)]
        return files + [Entry.of(blob_name(digest), self._path(digest)) for digest in sorted(self._held)]


class DockerArchiveWriter(OciArchive):
    """Implements Writable: one image as `docker load` takes it; an index has to be narrowed to a platform before."""

    def __init__(self, stage: Path, label: str, sink: Sink, names: Sequence[ImageReference]) -> None:
        super().__init__(stage, label, sink)
        self._names = names
        self._image: Manifest | None = None

    @override
    async def put_manifest(self, descriptor: Descriptor, content: bytes, tags: Sequence[Tag]) -> None:
        """Take the image; raises UnsupportedHere for an index, and for a second image."""
        manifest = parse_manifest(content, descriptor.media_type)
        if manifest.is_index or self._image is not None:
            cause = "what docker reads holds one platform"
            raise UnsupportedHere(self.name, reason="index", cause=cause, next_command="--platform OS/ARCHITECTURE")
        self._image = manifest
        await super().put_manifest(descriptor, content, tags)

    @override
    def _entries(self) -> list[Entry]:
        image = self._image
        assert image is not None
        assert image.config is not None
        config = Entry.of(f"{image.config.digest.encoded}.json", self._path(image.config.digest))
        layers = {layer.digest: layer for layer in image.layers}.values()
        listed = docker_manifest(image.config, image.layers, self._names)
        files = [Entry.of(layer_file(layer), self._path(layer.digest)) for layer in layers]
        return [config, *files, Entry.of(MANIFEST_FILE, listed)]
