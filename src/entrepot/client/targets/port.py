"""What a copy needs of the place it reads from and of the place it writes to."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from entrepot.client.progress import Progress
from entrepot.oci import Descriptor, Digest, Reference, Tag


class BlobContent(Protocol):
    """A blob that can be read from any of its bytes on, and again."""

    @property
    def descriptor(self) -> Descriptor:
        """What it has to be."""
        ...

    @property
    def parts_at_most(self) -> int:
        """How many parts of it are worth reading at the same time."""
        ...

    @property
    def repository(self) -> tuple[str, str] | None:
        """The registry and repository that it lies in, or may lie in: where it could be mounted from."""
        ...

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to but not including ``stop``; not checked against the digest.

        Raises NetworkFailure, NotFound, LyingRegistry; for files Unwritable, ContentInvalid.
        """
        ...


class Readable(Protocol):
    """A place that images are read from."""

    @property
    def name(self) -> str:
        """The place as messages name it, without tag and digest."""
        ...

    async def resolve(self, reference: Reference | None) -> Descriptor:
        """What a tag or digest names here; None is the only image of a layout or archive. Raises NotFound."""
        ...

    async def tags(self) -> Sequence[Tag]:
        """Every tag that is here; raises NotFound."""
        ...

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """A manifest, with the digest that the descriptor has; raises NotFound, DigestMismatch."""
        ...

    def blob(self, descriptor: Descriptor) -> BlobContent:
        """A blob, which is looked for when it is read."""
        ...

    async def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """The manifests here whose subject has this digest, and no others."""
        ...

    async def digest_tags(self, digest: Digest) -> Sequence[tuple[Tag, Descriptor]]:
        """Tags that carry signatures, attestations and bills of material of this digest by their names."""
        ...


class Writable(Protocol):
    """A place that images are written to."""

    @property
    def name(self) -> str:
        """The place as messages name it, without tag and digest."""
        ...

    @property
    def keeps_whole(self) -> bool:
        """Whether all that a tag names is surely there: a registry refuses anything else, a folder is anybody's."""
        ...

    async def tagged(self, tag: Tag) -> Digest | None:
        """What the tag names, None if it is not there."""
        ...

    async def has_manifest(self, descriptor: Descriptor) -> bool:
        """Whether the manifest is there, and so what it names."""
        ...

    async def put_blob(self, content: BlobContent, progress: Progress) -> None:
        """Make the blob be there, by as little as is needed; goes on where an earlier attempt stopped.

        Raises DigestMismatch for content that is not what its descriptor says.
        """
        ...

    async def put_manifest(self, descriptor: Descriptor, content: bytes, tags: Sequence[Tag]) -> None:
        """Store a manifest after what it names, under its digest and under tags, which move if they exist."""
        ...

    async def list_untagged(self, image: Descriptor) -> None:
        """Make an image or referrer that is there be found without a tag, where that takes more than its digest."""
        ...

    async def finish(self) -> None:
        """Everything has been written."""
        ...
