"""A repository of a registry, to read from and to write to."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from entrepot.client.errors import ClientError, NetworkFailure, NotFound, printable
from entrepot.client.files import in_thread
from entrepot.client.origins import Mirror, Route
from entrepot.client.progress import Event, Progress, Stage
from entrepot.client.targets.digest_tags import digest_tags
from entrepot.client.targets.port import BlobContent
from entrepot.client.targets.registry.access import Access
from entrepot.client.targets.registry.blobs import RemoteBlob, has_blob
from entrepot.client.targets.registry.known_blobs import KnownBlobs
from entrepot.client.targets.registry.listings import list_tags
from entrepot.client.targets.registry.manifests import (
    get_manifest,
    has_manifest,
    head_manifest,
    put_manifest,
)
from entrepot.client.targets.registry.referrers import add_to_tag, list_referrers, tagged_referrers
from entrepot.client.targets.registry.saved_uploads import SavedUploads
from entrepot.client.targets.registry.suggestions import explained
from entrepot.client.targets.registry.uploads import Upload, UploadSettings
from entrepot.client.transport import Transport
from entrepot.oci import Descriptor, Digest, Reference, ReferrersTag, RegistryError, Tag, parse_manifest

T = TypeVar("T")

_LATEST: Final = Tag("latest")


class RegistryRepository:
    """Implements Readable and Writable over the distribution specification."""

    def __init__(
        self,
        transport: Transport,
        route: Route,
        place: str,
        uploads: UploadSettings = UploadSettings(),  # ruff: ignore[function-call-in-default-argument]  it is frozen
        saved: SavedUploads | None = None,
        known: KnownBlobs | None = None,
    ) -> None:
        self.access = Access(transport, route, place)
        self._uploads = uploads
        self._saved = saved or SavedUploads()
        self._known = known or KnownBlobs(is_kept=False)
        self._tag_locks: dict[Digest, asyncio.Lock] = {}
        self._has_referrers_api = True
        self._listed: frozenset[Tag] | None = None

    @property
    def name(self) -> str:
        """``host/repository``."""
        return self.access.place

    async def resolve(self, reference: Reference | None) -> Descriptor:
        """What a reference names, ``latest`` for none; mirrors that may are asked first."""
        wanted = reference or _LATEST
        found, failures = await self._from_mirrors(wanted)
        if found is not None:
            return found[0]
        with _told_too(failures):
            try:
                return await head_manifest(self.access, wanted)
            except NotFound as error:
                if isinstance(wanted, Digest):
                    raise
                raise await explained(self.access, wanted, error) from error

    async def tags(self) -> Sequence[Tag]:
        """All tags as the registry orders them; what is not among them is not asked for afterwards."""
        listed = [tag async for tag in list_tags(self.access)]
        self._listed = frozenset(listed)
        return listed

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """A manifest by its digest."""
        return (await self.get(descriptor.digest))[1]

    async def get(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """A manifest and what it is; mirrors that may are asked first."""
        found, failures = await self._from_mirrors(reference)
        if found is not None:
            return found
        with _told_too(failures):
            return await get_manifest(self.access, reference)

    async def _from_mirrors(self, wanted: Reference) -> tuple[tuple[Descriptor, bytes] | None, list[str]]:
        """A manifest from the first mirror that has it, and why those before have not."""
        failures: list[str] = []
        for mirror in self.access.route.mirrors:
            if not (mirror.digests if isinstance(wanted, Digest) else mirror.tags):
                continue
            try:
                found = await get_manifest(self.access, wanted, mirror)
            except ClientError as error:
                failures.append(f"mirror {mirror.origin.authority}: {error.cause or error.message}")
                continue
            if isinstance(wanted, Tag) and mirror.tagged:
                self._prefer(mirror)
            return found, failures
        return None, failures

    def _prefer(self, mirror: Mirror) -> None:
        """Ask a mirror first for the content of what it said that a tag means."""
        others = tuple(one for one in self.access.route.mirrors if one != mirror)
        first = replace(mirror, digests=True, tagged=False)
        self.access = replace(self.access, route=replace(self.access.route, mirrors=(first, *others)))

    def blob(self, descriptor: Descriptor) -> RemoteBlob:
        """A blob of this repository."""
        return RemoteBlob(self.access, descriptor)

    async def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """The referrers by API or tag."""
        return await self._told(lambda access: self._referrers(access, digest))

    async def _referrers(self, access: Access, digest: Digest) -> Sequence[Descriptor]:
        found = None
        if self._has_referrers_api:
            try:
                found = await list_referrers(access, digest)
            except NotFound:
                self._has_referrers_api = False
        if found is None and self._may_have(ReferrersTag.of(digest).tag):
            found = await tagged_referrers(access, digest)
        return found or []

    def _may_have(self, tag: Tag) -> bool:
        return self._listed is None or tag in self._listed

    async def digest_tags(self, digest: Digest) -> Sequence[tuple[Tag, Descriptor]]:
        """The tags of signatures and the like that are there."""
        tags = [tag for tag in digest_tags(digest) if self._may_have(tag)]

        async def those_of(access: Access) -> list[Descriptor | None]:
            return await asyncio.gather(*(_optional(access, tag) for tag in tags))

        found = await self._told(those_of)
        return [(tag, descriptor) for tag, descriptor in zip(tags, found, strict=True) if descriptor is not None]

    @property
    def keeps_whole(self) -> bool:
        """Registries take manifests after what they name."""
        return True

    async def tagged(self, tag: Tag) -> Digest | None:
        """What the tag names."""
        descriptor = await _optional(self.access, tag, writes=True)
        return None if descriptor is None else descriptor.digest

    async def has_manifest(self, descriptor: Descriptor) -> bool:
        """Whether the manifest is there."""
        return await has_manifest(self.access, descriptor.digest)

    async def put_blob(self, content: BlobContent, progress: Progress) -> None:
        """Send the blob unless it is there or can be mounted."""
        descriptor = content.descriptor
        stage = await self._put(content, progress)
        if isinstance(content, RemoteBlob):
            await in_thread(self._known.note, *content.repository, descriptor.digest)
        await in_thread(self._known.note, *self._here, descriptor.digest)
        progress(Event(stage, descriptor, descriptor.size))

    async def _put(self, content: BlobContent, progress: Progress) -> Stage:
        descriptor = content.descriptor
        with self._saved.of(self.access, descriptor) as saved:
            if saved.location is None and await has_blob(self.access, descriptor):
                return Stage.EXISTS
            registry, repository = self._here
            mount_from = self._mountable(content)
            if mount_from is None:
                mount_from = await in_thread(self._known.find, registry, descriptor.digest, repository)
            stage = await Upload(self.access, content, saved, self._uploads, progress).run(mount_from)
            if mount_from is not None and stage is not Stage.MOUNTED:
                await in_thread(self._known.forget, registry, mount_from, descriptor.digest)
            return stage

    @property
    def _here(self) -> tuple[str, str]:
        return (self.access.origin.registry, self.access.route.repository)

    async def put_manifest(self, descriptor: Descriptor, content: bytes, tags: Sequence[Tag]) -> None:
        """Store a manifest, and list it as a referrer where the registry does not."""
        references: Sequence[Reference] = tags or (descriptor.digest,)
        noted = [await put_manifest(self.access, reference, descriptor, content) for reference in references]
        if all(noted):
            return
        try:
            manifest = parse_manifest(content, descriptor.media_type)
        except RegistryError:
            return
        if manifest.subject is not None:
            entry = Descriptor(
                descriptor.media_type,
                descriptor.digest,
                descriptor.size,
                annotations=manifest.annotations,
                artifact_type=manifest.artifact_type,
            )
            async with self._tag_locks.setdefault(manifest.subject.digest, asyncio.Lock()):
                await add_to_tag(self.access, manifest.subject.digest, entry)

    async def list_untagged(self, image: Descriptor) -> None:
        """A registry finds it by its digest."""

    async def finish(self) -> None:
        """Nothing is left to do."""

    def _mountable(self, content: BlobContent) -> str | None:
        """The repository of the same registry that has the blob."""
        if content.repository is None:
            return None
        registry, repository = content.repository
        is_here = registry == self.access.origin.registry and repository != self.access.route.repository
        return repository if is_here else None

    async def _told(self, ask: Callable[[Access], Awaitable[T]]) -> T:
        """What the registry says; if it cannot be reached, what a mirror says that may say what tags mean."""
        try:
            return await ask(self.access)
        except NetworkFailure:
            for mirror in self.access.route.mirrors:
                if mirror.tags:
                    with contextlib.suppress(ClientError):
                        return await ask(self.access.at(mirror))
            raise


async def _optional(access: Access, tag: Tag, *, writes: bool = False) -> Descriptor | None:
    try:
        return await head_manifest(access, tag, writes=writes)
    except NotFound:
        return None


@contextlib.contextmanager
def _told_too(failures: Sequence[str]) -> Generator[None, None, None]:
    """Tell with an error of the registry what its mirrors said before."""
    try:
        yield
    except ClientError as error:
        error.evidence = (*error.evidence, *(printable(line) for line in failures))
        raise
