"""Looking at an image: what it is, for which platforms, what it is made of, what refers to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.client.copy import image_at, parsed_manifest, read_config
from entrepot.client.errors import ContentInvalid
from entrepot.client.platforms import WantedPlatform, platform_text
from entrepot.client.targets.port import Readable
from entrepot.oci import Descriptor, Manifest, Reference


@dataclass(frozen=True, slots=True)
class Inspected:
    """An image or an index."""

    descriptor: Descriptor
    manifest: Manifest
    config: Mapping[str, Any]
    """The image's configuration (image spec, config.md); empty for an index and for artifacts of other kinds."""
    referrers: tuple[Descriptor, ...]
    """Signatures, attestations and whatever else refers to it."""

    @property
    def platforms(self) -> list[str]:
        """``os/architecture[/variant]`` of an index's images, or of the image."""
        if self.manifest.is_index:
            entries = self.manifest.child_references()
            return [platform_text(entry.platform) for entry in entries if entry.platform is not None]
        parts = (self.config.get("os"), self.config.get("architecture"), self.config.get("variant"))
        return ["/".join(str(part) for part in parts if part)] if self.config.get("os") else []

    @property
    def size(self) -> int:
        """Bytes of what the manifest names: layers and config of an image, manifests of an index."""
        return sum(one.size for one in self.manifest.child_references()) + sum(
            blob.descriptor.size for blob in self.manifest.blob_references() if blob.required
        )


async def inspect(
    source: Readable,
    reference: Reference | None,
    wanted: WantedPlatform | None = None,
    *,
    with_referrers: bool = True,
) -> Inspected:
    """Look at what a reference names, or at its image for a platform; raises NotFound, PlatformNotFound.

    Raises ContentInvalid, DigestMismatch for content that is not what it should be.
    """
    descriptor = await image_at(source, reference, wanted)
    manifest = parsed_manifest(source, descriptor, await source.manifest(descriptor))
    config: Mapping[str, Any] = {}
    if manifest.config is not None and manifest.config.media_type.endswith(
        (".image.config.v1+json", ".container.image.v1+json")
    ):
        config = _parsed(await read_config(source, manifest.config), source.name)
    referrers = await source.referrers(descriptor.digest) if with_referrers else ()
    return Inspected(descriptor, manifest, config, tuple(referrers))


def _parsed(content: bytes, name: str) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ContentInvalid(name, reason="config", cause="the config is no JSON object") from error
    if not isinstance(document, dict):
        raise ContentInvalid(name, reason="config", cause="the config is no JSON object")
    return document
