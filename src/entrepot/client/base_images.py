"""What an image was built on, as its annotations tell (image spec, "Pre-Defined Annotation Keys")."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from entrepot.client.errors import ReferenceInvalid
from entrepot.client.references import ImageReference
from entrepot.client.targets.port import BlobContent
from entrepot.oci import Descriptor, Manifest

BASE_NAME: Final = "org.opencontainers.image.base.name"


def base_of(manifest: Manifest) -> tuple[str, str] | None:
    """The registry and repository of the base image, None where none is told."""
    text = manifest.annotations.get(BASE_NAME)
    if text is None:
        return None
    try:
        image = ImageReference.parse(text)
    except ReferenceInvalid:
        return None
    return (image.registry, image.repository.text)


@dataclass(frozen=True, slots=True)
class OfBaseImage:
    """Implements BlobContent: a blob that the repository of the base image may hold."""

    content: BlobContent
    repository: tuple[str, str]

    @property
    def descriptor(self) -> Descriptor:
        """What it has to be."""
        return self.content.descriptor

    @property
    def parts_at_most(self) -> int:
        """As of the content."""
        return self.content.parts_at_most

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes, from where they are."""
        return self.content.chunks(start, stop)
