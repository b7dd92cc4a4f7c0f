"""Archives as `docker save` writes them: a manifest.json, a config and layers (moby, image/spec)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from entrepot.client.errors import ContentInvalid, NotFound
from entrepot.client.files import in_thread
from entrepot.client.references import ImageReference
from entrepot.client.targets.layout import FileBlob
from entrepot.client.targets.tar_files import TarFiles
from entrepot.client.targets.written_names import tags_of
from entrepot.oci import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    Algorithm,
    Descriptor,
    Digest,
    Reference,
    Tag,
)

MANIFEST_FILE: Final = "manifest.json"
_MANIFEST_BYTES_AT_MOST: Final = 4 * 1024 * 1024
_CONFIG_BYTES_AT_MOST: Final = 4 * 1024 * 1024
_LAYERS_AT_MOST: Final = 1000
_HASHED_BYTES: Final = 1024 * 1024
_TYPES: Final = {b"\x1f\x8b": DOCKER_LAYER_GZIP, b"\x28\xb5": DOCKER_LAYER_ZSTD}


@dataclass(frozen=True, slots=True)
class _Image:
    """One entry of manifest.json."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]


class DockerArchive:
    """Implements Readable; a manifest is made for each image, of which only the config's digest was in the archive."""

    def __init__(self, path: Path, label: str) -> None:
        self._files = TarFiles(path, label)
        self._label = label
        self._images = self._read()
        self._manifests: dict[Digest, bytes] = {}
        self._blobs: dict[Digest, FileBlob] = {}

    @property
    def name(self) -> str:
        """The archive as it was given."""
        return self._label

    async def resolve(self, reference: Reference | None) -> Descriptor:
        """The image with a tag, a config's digest, or the only one; raises NotFound that lists what is there."""
        found = [image for image in self._images if reference is None or self._is_named(image, reference)]
        if len(found) != 1:
            names = [tag for image in self._images for tag in image.tags] or [image.config for image in self._images]
            cause = "it has several images: say which" if found else ""
            subject = self._label if reference is None else f"{self._label}:{reference}"
            raise NotFound(subject, cause=cause, evidence=[f"there are: {', '.join(names)}"])
        return await self._described(found[0])

    async def tags(self) -> Sequence[Tag]:
        """The tags of all names."""
        return tags_of([name for image in self._images for name in image.tags], self._label)

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """The manifest that was made by ``resolve``."""
        return self._manifests[descriptor.digest]

    def blob(self, descriptor: Descriptor) -> FileBlob:
        """The config or a layer."""
        return self._blobs[descriptor.digest]

    async def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """There are none."""
        del digest
        return []

    async def digest_tags(self, digest: Digest) -> Sequence[tuple[Tag, Descriptor]]:
        """There are none."""
        del digest
        return []

    def _is_named(self, image: _Image, reference: Reference) -> bool:
        if isinstance(reference, Digest):
            return reference.encoded in image.config
        return any(tag.rpartition(":")[2] == reference.text for tag in image.tags)

    async def _described(self, image: _Image) -> Descriptor:
        config = await in_thread(self._hashed, image.config, DOCKER_CONFIG)
        if config.size > _CONFIG_BYTES_AT_MOST:
            raise ContentInvalid(f"{self._label}: {image.config}", reason="too-long", cause="it is no config")
        layers = [await in_thread(self._hashed, name, None) for name in image.layers]
        document = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
        content = json.dumps(document, separators=(",", ":")).encode()
        descriptor = Descriptor(DOCKER_MANIFEST, Digest.of(content), len(content))
        self._manifests[descriptor.digest] = content
        return descriptor

    def _hashed(self, name: str, media_type: str | None) -> Descriptor:
        """Hash a file of the archive, and tell a layer's type by how it begins."""
        found = self._files.find(name)
        if found is None:
            raise ContentInvalid(f"{self._label}: {name}", reason="missing", cause="the archive lacks this file")
        path, start, size = found
        state = hashlib.sha256()
        head = b""
        with path.open("rb") as file:
            file.seek(start)
            left = size
            while left:
                chunk = file.read(min(_HASHED_BYTES, left))
                if not chunk:
                    raise ContentInvalid(f"{self._label}: {name}", reason="short", cause="the archive ends too early")
                head = head or chunk[:2]
                state.update(chunk)
                left -= len(chunk)
        digest = Digest(Algorithm.SHA256, state.hexdigest())
        descriptor = Descriptor(media_type or _TYPES.get(head, DOCKER_LAYER), digest, size)
        self._blobs[digest] = FileBlob(descriptor, path, start)
        return descriptor

    def _read(self) -> list[_Image]:
        content = self._files.read(MANIFEST_FILE, _MANIFEST_BYTES_AT_MOST)
        try:
            return [_image(entry) for entry in json.loads(content)]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            cause = "it does not list images as docker save does"
            raise ContentInvalid(f"{self._label}: {MANIFEST_FILE}", reason="docker", cause=cause) from error


def _image(entry: dict[str, Any]) -> _Image:
    layers = tuple(entry["Layers"] or ())
    tags = tuple(entry.get("RepoTags") or ())
    config = entry["Config"]
    if not isinstance(config, str) or len(layers) > _LAYERS_AT_MOST or not all(isinstance(one, str) for one in layers):
        raise TypeError
    return _Image(config, layers, tuple(str(tag) for tag in tags))


def docker_manifest(config: Descriptor, layers: Sequence[Descriptor], names: Sequence[ImageReference]) -> bytes:
    """The manifest.json of an archive with one image; layers lie beside it under their digests."""
    entry = {
        "Config": f"{config.digest.encoded}.json",
        "RepoTags": [str(name) for name in names],
        "Layers": [layer_file(layer) for layer in layers],
    }
    return json.dumps([entry]).encode()


def layer_file(layer: Descriptor) -> str:
    """The name of a layer's file; `docker load` tells by the content how it is compressed."""
    return f"{layer.digest.encoded}.tar"
