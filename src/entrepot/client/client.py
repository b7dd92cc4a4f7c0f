"""The client for programs: ``async with Client() as client: await client.copy(source, target)``."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Self

from typing_extensions import Unpack

from entrepot.client.cache import Cache
from entrepot.client.copy import JOBS, Copied, CopiedTags, Copy, CopyOptions, CopyWords, each, image_at
from entrepot.client.credentials import (
    Anonymous,
    AnyCredentials,
    CredentialSource,
    GivenCredentials,
    IdentityToken,
)
from entrepot.client.dating import created_at
from entrepot.client.errors import (
    ContentInvalid,
    NotFound,
    ReferenceInvalid,
    RegistryRefused,
    TagExists,
    UnsupportedHere,
)
from entrepot.client.given_origins import GivenOrigins
from entrepot.client.inspecting import Inspected, inspect
from entrepot.client.locations import Kind, Location, parse_source, parse_target
from entrepot.client.logins.device import DeviceCode, log_in_by_device
from entrepot.client.opening import engine_platform, reading, writing
from entrepot.client.origins import Origin, OriginSource, Route
from entrepot.client.platforms import WantedPlatform
from entrepot.client.progress import Progress, silent
from entrepot.client.references import ImageReference, is_bare_registry, parse_registry
from entrepot.client.targets.port import Readable, Writable
from entrepot.client.targets.registry import RegistryRepository, UploadSettings
from entrepot.client.targets.registry.access import Access
from entrepot.client.targets.registry.known_blobs import KnownBlobs
from entrepot.client.targets.registry.listings import list_repositories, list_tags
from entrepot.client.targets.registry.manifests import delete_manifest, get_manifest, head_manifest
from entrepot.client.targets.registry.saved_uploads import SavedUploads
from entrepot.client.transport import Patience, RateLimit, Transport
from entrepot.client.transport.proving import Proven, prove
from entrepot.oci import INDEX_TYPES, Descriptor, Digest, RepositoryName, Tag

_CANNOT_DELETE: Final = frozenset({400, 404, 405, 501})


class Client:
    """Moves images between registries, layouts and archives, and looks after their names.

    Every method raises the errors of ``entrepot.client.errors``. One client serves many calls at the same time; it
    keeps connections and tokens until it is closed.
    """

    def __init__(
        self,
        credentials: CredentialSource | None = None,
        origins: OriginSource | None = None,
        *,
        patience: Patience | None = None,
        uploads: UploadSettings | None = None,
        saved_uploads: SavedUploads | None = None,
        known_blobs: KnownBlobs | None = None,
        cache: Cache | None = None,
        rate: RateLimit | None = None,
    ) -> None:
        self._transport = Transport(credentials or GivenCredentials(Anonymous()), patience, rate)
        self._origins = origins or GivenOrigins()
        self._uploads = uploads or UploadSettings()
        self._saved = saved_uploads or SavedUploads()
        self._known = known_blobs or KnownBlobs()
        self._cache = cache

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        self._known.close()
        await self._transport.close()

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._transport.requests

    async def copy(
        self,
        source: str,
        target: str,
        *,
        progress: Progress = silent,
        **options: Unpack[CopyWords],
    ) -> Copied:
        """Copy an image with everything beneath it, and what refers to it, under the same digest.

        ``source`` and ``target`` are references (``host/name:tag``), layouts (``oci:FOLDER:tag``), archives
        (``oci-archive:FILE``, ``docker-archive:FILE``; ``-`` is standard input or output), daemons
        (``docker-daemon:name:tag``, ``podman:name:tag``) or paths; a target of a registry or layout may have several
        tags, ``host/name:1.4.2,1.4,1``, and without any gets the source's. CopyOptions has the ``options``.
        """
        read_from, write_to = parse_source(source), parse_target(target)
        expected = write_to.reference if isinstance(write_to.reference, Digest) else None
        async with self.reading(read_from) as readable, self.writing(write_to) as writable:
            tags = write_to.tags
            if not tags and expected is None:
                tags = await _tags_of(read_from, readable)
            wanted = CopyOptions.of(options)
            if write_to.kind.keeps_configs_only:
                wanted = replace(wanted, with_referrers=False)
            if write_to.kind.is_daemon and wanted.platform is None:
                wanted = replace(wanted, platform=await self._platform_for(write_to, read_from, readable))
            cache = self._cache
            if cache is not None and read_from.image is not None and (cache.is_offline or not wanted.is_dry):
                return await cache.copy(readable, read_from.image, writable, tags, wanted, progress, expected)
            return await Copy(readable, writable, wanted, progress).run(read_from.reference, tags, expected)

    async def _platform_for(self, daemon: Location, read_from: Location, readable: Readable) -> WantedPlatform | None:
        """The platform that a daemon needs of an index; what is no index goes there as it is."""
        is_offline = self._cache is not None and self._cache.is_offline
        if not is_offline and (await readable.resolve(read_from.reference)).media_type not in INDEX_TYPES:
            return None
        return _wanted(await engine_platform(daemon))

    async def copy_all(
        self,
        source: str,
        target: str,
        *,
        progress: Progress = silent,
        **options: Unpack[CopyWords],
    ) -> CopiedTags:
        """Copy what every tag of a repository, layout or archive names, under the same tags; see ``copy``.

        Neither place has a tag. Tags of the target that the source lacks stay.
        """
        read_from, write_to = parse_source(source), parse_target(target)
        for text, place in ((source, read_from), (target, write_to)):
            if place.has_reference:
                raise ReferenceInvalid(text, reason="tag", cause="all tags are copied, so none is written here")
        async with self.reading(read_from) as readable, self.writing(write_to) as writable:
            return await Copy(readable, writable, CopyOptions.of(options), progress).run_all()

    async def resolve(self, source: str, *, platform: str | None = None) -> Descriptor:
        """What a reference names: type, digest and size; with ``platform`` the image of an index."""
        location = parse_source(source)
        async with self.reading(location) as readable:
            return await image_at(readable, location.reference, _wanted(platform))

    async def manifest(self, source: str, *, platform: str | None = None) -> tuple[Descriptor, bytes]:
        """A manifest, as it was pushed."""
        location = parse_source(source)
        if platform is None and location.kind is Kind.REGISTRY and location.reference is not None:
            return await (await self._pulled(location.image)).get(location.reference)
        async with self.reading(location) as readable:
            descriptor = await image_at(readable, location.reference, _wanted(platform))
            return descriptor, await readable.manifest(descriptor)

    async def inspect(self, source: str, *, platform: str | None = None) -> Inspected:
        """What an image or index is, what it is made of, and what refers to it; no layer is fetched."""
        location = parse_source(source)
        async with self.reading(location) as readable:
            return await inspect(readable, location.reference, _wanted(platform))

    async def tags(self, repository: str) -> list[Tag]:
        """All tags of a repository, as the registry orders them."""
        return list(await (await self._pulled(ImageReference.parse(repository))).tags())

    async def dated_tags(self, repository: str) -> list[tuple[Tag, datetime | None]]:
        """All tags, each with when its image says to have been made; asks for two documents of each image."""
        reference = ImageReference.parse(repository)
        place = await self._pulled(reference)
        asking = asyncio.Semaphore(JOBS * 2)
        dates: dict[Digest, datetime | None] = {}

        async def dated(tag: Tag) -> tuple[Tag, datetime | None]:
            async with asking:
                descriptor = await place.resolve(tag)
                if descriptor.digest not in dates:
                    dates[descriptor.digest] = await created_at(place, descriptor)
            return tag, dates[descriptor.digest]

        return await each(dated(tag) for tag in await self.tags(repository))

    async def repositories(self, registry: str) -> AsyncGenerator[RepositoryName, None]:
        """The repositories of a registry, as far as it lists them."""
        origin = await self._origin(registry)
        async with contextlib.aclosing(list_repositories(self._transport, origin)) as names:
            async for name in names:
                yield name

    async def tag(self, image: str, tags: Sequence[Tag], *, may_move: bool = True) -> Descriptor:
        """Give an image of a registry more tags; raises TagExists where ``may_move`` is False and one is elsewhere."""
        reference = ImageReference.parse(image)
        repository = await self._repository(reference)
        descriptor, content = await get_manifest(repository.access, reference.reference)
        if not may_move:
            for tag in tags:
                there = await repository.tagged(tag)
                if there not in {None, descriptor.digest}:
                    evidence = [f"it names {there}", f"wanted {descriptor.digest}"]
                    raise TagExists(f"{reference.place}:{tag}", evidence=evidence)
        await repository.put_manifest(descriptor, content, tags)
        return descriptor

    async def untag(self, image: str) -> None:
        """Remove a tag and nothing else; raises UnsupportedHere where a registry cannot, NotFound for no such tag."""
        reference = ImageReference.parse(image)
        access = await self._access(reference)
        tag = reference.reference
        await head_manifest(access, tag)
        try:
            await delete_manifest(access, tag)
        except (RegistryRefused, NotFound) as error:
            if error.detail.get("status") not in _CANNOT_DELETE:
                raise
            raise UnsupportedHere(
                str(reference), reason="untag", cause="the registry deletes no tags", evidence=error.evidence
            ) from error

    async def delete(self, image: str, *, with_other_tags: bool = False) -> Digest:
        """Delete a manifest with its tag; raises TagExists, naming them, while other tags name the same manifest."""
        reference = ImageReference.parse(image)
        access = await self._access(reference)
        descriptor = await head_manifest(access, reference.reference)
        if not with_other_tags:
            others = await self._other_tags(access, descriptor.digest, reference.tag)
            if others:
                names = ", ".join(tag.text for tag in others)
                raise TagExists(
                    str(reference),
                    reason="shared",
                    cause=f"other tags name the same image: {names}",
                    next_command=f"entrepot untag {reference}, or entrepot delete {reference} --force",
                )
        await delete_manifest(access, descriptor.digest)
        return descriptor.digest

    async def log_in(self, registry: str, credentials: AnyCredentials, repository: str = "") -> Proven:
        """Show a registry credentials, and say what it makes of them; raises LoginRequired if it does not accept them.

        Nothing is stored. ``repository`` asks what they may do in it.
        """
        return await prove(self._transport, await self._origin(registry), credentials, repository)

    async def log_in_by_device(self, registry: str, show: Callable[[DeviceCode], None]) -> IdentityToken:
        """Log in through a browser that is somewhere else; ``show`` is told what is to be done there.

        Raises UnsupportedHere where the registry has no such login, LoginRequired if it was declined.
        """
        return await log_in_by_device(self._transport, await self._origin(registry), show)

    async def route(self, image: str) -> Route:
        """How a repository, or a registry by its ``host[:port]``, is reached, and by which mirrors; nothing is sent."""
        if is_bare_registry(image):
            return await self._origins.find(parse_registry(image), "")
        reference = ImageReference.parse(image)
        return await self._origins.find(reference.registry, reference.repository.text)

    async def blob_reader(self, image: str, digest: Digest, size: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a blob as they come; compare their digest with the one that you asked for."""
        repository = await self._pulled(ImageReference.parse(image))
        blob = repository.blob(Descriptor("application/octet-stream", digest, size))
        async with contextlib.aclosing(blob.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    @contextlib.asynccontextmanager
    async def reading(self, location: Location) -> AsyncGenerator[Readable, None]:
        """A place to read from, while it is open."""
        if location.image is not None:
            cache = self._cache if self._cache is not None and self._cache.is_offline else None
            found: Readable = await self._pulled(location.image) if cache is None else cache.layout(location.image)
            yield found
            return
        async with reading(location) as readable:
            yield readable

    @contextlib.asynccontextmanager
    async def writing(self, location: Location) -> AsyncGenerator[Writable, None]:
        """A place to write to, while it is open."""
        if location.kind is Kind.REGISTRY:
            yield await self._repository(location.image)
            return
        async with writing(location) as writable:
            yield writable

    async def _other_tags(self, access: Access, digest: Digest, own: Tag | None) -> list[Tag]:
        """The tags that name a manifest, but for its own."""
        repository = RegistryRepository(self._transport, access.route, access.place)
        tags = [tag async for tag in list_tags(access) if tag != own]
        return [tag for tag in tags if await repository.tagged(tag) == digest]

    async def _repository(self, image: ImageReference | None) -> RegistryRepository:
        access = await self._access(image)
        return RegistryRepository(self._transport, access.route, access.place, self._uploads, self._saved, self._known)

    async def _pulled(self, image: ImageReference | None) -> RegistryRepository:
        """A repository to read from, which configuration may have placed elsewhere."""
        access = await self._access(image)
        route = access.route.for_pulls()
        return RegistryRepository(self._transport, route, access.place, self._uploads, self._saved)

    async def _origin(self, registry: str) -> Origin:
        return (await self._origins.find(parse_registry(registry), "")).origin

    async def _access(self, image: ImageReference | None) -> Access:
        assert image is not None
        route = await self._origins.find(image.registry, image.repository.text)
        return Access(self._transport, route, image.place)


async def _tags_of(location: Location, readable: Readable) -> tuple[Tag, ...]:
    """The tag of an image where it is read from: the one that was written, or the only one there."""
    if isinstance(location.reference, Tag):
        return (location.reference,)
    if location.reference is not None:
        return ()
    if location.names:
        return tuple(name.tag for name in location.names if name.tag is not None)
    with contextlib.suppress(ContentInvalid):
        found = await readable.tags()
        return tuple(found) if len(found) == 1 else ()
    return ()


def _wanted(platform: str | None) -> WantedPlatform | None:
    return None if platform is None else WantedPlatform.parse(platform)
