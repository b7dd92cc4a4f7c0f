"""Copying an image from one place to another: blobs first, then manifests, children before what names them."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Final, Self, TypedDict, TypeVar

from entrepot.client.base_images import OfBaseImage, base_of
from entrepot.client.errors import ClientError, ContentInvalid, DigestMismatch, LyingRegistry, TagExists
from entrepot.client.platforms import WantedPlatform, check_config, choose
from entrepot.client.progress import Event, Progress, Stage, silent
from entrepot.client.targets.port import Readable, Writable
from entrepot.client.targets.receiving import first_of
from entrepot.oci import Descriptor, Digest, Manifest, Reference, RegistryError, Tag, parse_manifest

T = TypeVar("T")

JOBS: Final = 4
QUESTIONS: Final = 16
"""Small requests at the same time."""
TAGS_AT_ONCE: Final = 100
"""Of a repository that is copied as a whole; the manifests of so many are in memory."""
DEPTH_AT_MOST: Final = 8
MANIFESTS_AT_MOST: Final = 10_000
CONFIG_BYTES_AT_MOST: Final = 4 * 1024 * 1024


class CopyWords(TypedDict, total=False):
    """The options of a copy as keywords; see CopyOptions."""

    platform: str | None
    """``os/architecture[/variant]``"""
    with_referrers: bool
    jobs: int
    is_dry: bool
    no_clobber: bool


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """What a copy takes along, and what it leaves alone."""

    platform: WantedPlatform | None = None
    """One image of an index instead of the whole index."""
    with_referrers: bool = True
    """Whether signatures, attestations and other referrers come along."""
    jobs: int = JOBS
    """Blobs that are moved at the same time."""
    is_dry: bool = False
    """Whether to say only what would be done."""
    no_clobber: bool = False
    """Whether tags that exist stay where they are."""

    @classmethod
    def of(cls, words: CopyWords) -> Self:
        """The options that some keywords say; raises ReferenceInvalid for what is no platform."""
        platform = words.get("platform")
        return cls(
            platform=None if platform is None else WantedPlatform.parse(platform),
            with_referrers=words.get("with_referrers", True),
            jobs=words.get("jobs", JOBS),
            is_dry=words.get("is_dry", False),
            no_clobber=words.get("no_clobber", False),
        )


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did, or would do."""

    descriptor: Descriptor
    """The image; its digest is the source's."""
    tags: tuple[Tag, ...]
    manifests: tuple[Descriptor, ...]
    """The manifests that the target lacked, in the order in which they were stored."""
    blobs: tuple[Descriptor, ...]
    """The blobs that these name."""


@dataclass(frozen=True, slots=True)
class CopiedTags:
    """What a copy of many tags did, or would do."""

    tags: tuple[tuple[Tag, Descriptor], ...]
    """Every tag, and the image that it names in both places now."""
    manifests: tuple[Descriptor, ...]
    """The manifests that the target lacked."""
    blobs: tuple[Descriptor, ...]
    """The blobs that these name."""


@dataclass(slots=True)
class _Plan:
    """Everything that the target lacks."""

    manifests: dict[Digest, tuple[Descriptor, bytes]] = field(default_factory=dict)
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    seen: dict[Digest, Descriptor] = field(default_factory=dict)
    """All manifests of the images, also those that the target has."""
    bases: dict[Digest, tuple[str, str]] = field(default_factory=dict)
    """The repositories of the base images of images with these blobs, as their annotations tell."""
    children: dict[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    """Of those that the target lacks."""

    def generations(self) -> list[list[Digest]]:
        """Its manifests in groups, each after all that its manifests name."""
        heights: dict[Digest, int] = {}

        def height(digest: Digest) -> int:
            if digest not in heights:
                named = [height(child) for child in self.children[digest] if child in self.manifests]
                heights[digest] = 1 + max(named, default=-1)
            return heights[digest]

        groups: dict[int, list[Digest]] = {}
        for digest in self.manifests:
            groups.setdefault(height(digest), []).append(digest)
        return [groups[number] for number in sorted(groups)]


class Copy:
    """One copy between two places."""

    def __init__(
        self,
        source: Readable,
        target: Writable,
        options: CopyOptions = CopyOptions(),
        progress: Progress = silent,
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._progress = progress
        self._moving = asyncio.Semaphore(options.jobs)
        self._asking = asyncio.Semaphore(QUESTIONS)
        self._there: set[Digest] = set()
        self._stored: dict[Digest, Descriptor] = {}
        self._moved: dict[Digest, Descriptor] = {}

    async def run(
        self, reference: Reference | None, tags: Sequence[Tag] = (), expected: Digest | None = None
    ) -> Copied:
        """Copy what ``reference`` names, and give it these tags.

        What the target has already is not sent. Raises the client's errors, DigestMismatch for another image than the
        one that is ``expected``; what was moved until then stays there and is not moved again the next time.
        """
        root = await image_at(self._source, reference, self._options.platform)
        if expected is not None and root.digest != expected:
            evidence = [f"wanted {expected}", f"{self._source.name} has {root.digest}"]
            raise DigestMismatch(
                f"{self._target.name}@{expected}", cause="the source is another image", evidence=evidence
            )
        await self._copied([(root, tags)])
        if not self._options.is_dry:
            await self._target.finish()
        return Copied(root, tuple(tags), tuple(self._stored.values()), tuple(self._moved.values()))

    async def run_all(self) -> CopiedTags:
        """Copy what every tag of the source names, under the same tags; other tags of the target stay.

        Raises like ``run``.
        """
        tags = await self._source.tags()
        copied: list[tuple[Tag, Descriptor]] = []
        for start in range(0, len(tags), TAGS_AT_ONCE):
            some = tags[start : start + TAGS_AT_ONCE]
            images = await each(self._image_at(tag) for tag in some)
            await self._copied([(image, [tag]) for image, tag in zip(images, some, strict=True)])
            copied += zip(some, images, strict=True)
        if not self._options.is_dry:
            await self._target.finish()
        return CopiedTags(tuple(copied), tuple(self._stored.values()), tuple(self._moved.values()))

    async def _image_at(self, tag: Tag) -> Descriptor:
        async with self._asking:
            return await image_at(self._source, tag, self._options.platform)

    async def _copied(self, images: Sequence[tuple[Descriptor, Sequence[Tag]]]) -> None:
        """Copy images with their tags, and then what refers to them."""
        plan = await self._brought(images)
        if self._options.with_referrers:
            await self._referrers(list(plan.seen.values()))

    async def _brought(self, images: Sequence[tuple[Descriptor, Sequence[Tag]]]) -> _Plan:
        """Copy images with their tags, and say what there was to do."""
        wanted = await each(starmap(self._tags_to_set, images))
        plan = _Plan()
        await each(self._plan(image, plan, 0) for image, _ in images)
        if not self._options.is_dry:
            await self._carried_out(plan, [(image, tags) for (image, _), tags in zip(images, wanted, strict=True)])
            await each(self._target.list_untagged(image) for image, tags in images if not tags)
        self._stored |= {descriptor.digest: descriptor for descriptor, _ in plan.manifests.values()}
        self._moved |= plan.blobs
        return plan

    async def _tags_to_set(self, root: Descriptor, tags: Sequence[Tag]) -> list[Tag]:
        """The tags that do not name the image yet; raises TagExists where none may be moved."""
        there = await each(self._tagged(tag) for tag in tags)
        if root.digest in there and self._target.keeps_whole:
            self._there.add(root.digest)
        wanted = [tag for tag, digest in zip(tags, there, strict=True) if digest != root.digest]
        if self._options.no_clobber:
            for tag, digest in zip(tags, there, strict=True):
                if digest not in {None, root.digest}:
                    evidence = [f"it names {digest}", f"wanted {root.digest}"]
                    raise TagExists(f"{self._target.name}:{tag}", evidence=evidence)
        return wanted

    async def _tagged(self, tag: Tag) -> Digest | None:
        async with self._asking:
            return await self._target.tagged(tag)

    async def _plan(self, descriptor: Descriptor, plan: _Plan, depth: int) -> None:
        """Add what the target lacks of a manifest and all beneath it."""
        if descriptor.digest in plan.seen:
            return
        plan.seen[descriptor.digest] = descriptor
        if depth > DEPTH_AT_MOST or len(plan.seen) > MANIFESTS_AT_MOST:
            raise ContentInvalid(self._source.name, reason="too-deep", cause="indexes are nested without end")
        if await self._is_there(descriptor):
            if self._options.with_referrers:
                await self._see_children(descriptor, plan)
            return
        async with self._asking:
            content = await self._source.manifest(descriptor)
        manifest = parsed_manifest(self._source, descriptor, content)
        await each(self._plan(child, plan, depth + 1) for child in manifest.child_references())
        base = base_of(manifest)
        for blob in manifest.blob_references():
            if blob.required:
                plan.blobs[blob.descriptor.digest] = blob.descriptor
                if base is not None:
                    plan.bases[blob.descriptor.digest] = base
        plan.children[descriptor.digest] = tuple(child.digest for child in manifest.child_references())
        plan.manifests[descriptor.digest] = (descriptor, content)

    async def _is_there(self, descriptor: Descriptor) -> bool:
        """Whether the target has a manifest, and so what it names."""
        if descriptor.digest in self._there or descriptor.digest in self._stored:
            return True
        async with self._asking:
            return await self._target.has_manifest(descriptor)

    async def _see_children(self, descriptor: Descriptor, plan: _Plan) -> None:
        """Children of an index that the target has may have referrers that it lacks."""
        if "index" not in descriptor.media_type and "list" not in descriptor.media_type:
            return
        async with self._asking:
            content = await self._source.manifest(descriptor)
        manifest = parsed_manifest(self._source, descriptor, content)
        for child in manifest.child_references():
            plan.seen.setdefault(child.digest, child)

    async def _carried_out(self, plan: _Plan, images: Sequence[tuple[Descriptor, Sequence[Tag]]]) -> None:
        """Move blobs, the largest first, then store manifests, each after what it names and with its tags."""
        largest_first = sorted(plan.blobs.values(), key=lambda blob: -blob.size)
        await each(self._move(blob, plan) for blob in largest_first if blob.digest not in self._moved)
        tagged: dict[Digest, list[Tag]] = {}
        for image, tags in images:
            tagged.setdefault(image.digest, []).extend(tags)
        for group in plan.generations():
            await each(self._store(*plan.manifests[digest], tagged.pop(digest, [])) for digest in group)
        await each(self._give_tags(image, tagged[image.digest]) for image, _ in images if tagged.get(image.digest))

    async def _give_tags(self, image: Descriptor, tags: Sequence[Tag]) -> None:
        """Give tags to what is there already."""
        async with self._asking:
            content = await self._source.manifest(image)
        await self._store(image, content, tags)

    async def _move(self, blob: Descriptor, plan: _Plan) -> None:
        content = self._source.blob(blob)
        if content.repository is None and blob.digest in plan.bases:
            content = OfBaseImage(content, plan.bases[blob.digest])
        async with self._moving:
            await self._target.put_blob(content, self._progress)

    async def _store(self, descriptor: Descriptor, content: bytes, tags: Sequence[Tag]) -> None:
        async with self._asking:
            await self._target.put_manifest(descriptor, content, tags)
        self._progress(Event(Stage.DONE, descriptor, descriptor.size))

    async def _referrers(self, subjects: list[Descriptor]) -> None:
        """Copy what refers to the image, and what refers to that."""
        seen = {subject.digest for subject in subjects}
        for _ in range(DEPTH_AT_MOST):
            found = await each(self._referrers_of(subject) for subject in subjects)
            subjects = []
            for tag, descriptor in (entry for entries in found for entry in entries):
                if descriptor.digest in seen and tag is None:
                    continue
                if descriptor.digest not in seen:
                    seen.add(descriptor.digest)
                    subjects.append(descriptor)
                await self._brought([(descriptor, [] if tag is None else [tag])])
            if not subjects:
                return

    async def _referrers_of(self, subject: Descriptor) -> list[tuple[Tag | None, Descriptor]]:
        async with self._asking:
            referrers = await self._source.referrers(subject.digest)
            tagged = await self._source.digest_tags(subject.digest)
        return [(None, referrer) for referrer in referrers] + [(tag, descriptor) for tag, descriptor in tagged]


async def image_at(source: Readable, reference: Reference | None, wanted: WantedPlatform | None) -> Descriptor:
    """What a reference names, or its image for a platform; raises NotFound, PlatformNotFound."""
    root = await source.resolve(reference)
    if wanted is None:
        return root
    subject = source.name if reference is None else f"{source.name}:{reference}"
    manifest = parsed_manifest(source, root, await source.manifest(root))
    if manifest.is_index:
        return choose(manifest, wanted, subject)
    if manifest.config is not None:
        check_config(await read_config(source, manifest.config), wanted, subject)
    return root


async def read_config(source: Readable, descriptor: Descriptor) -> bytes:
    """The config of an image, checked; raises ContentInvalid for one of over 4 MiB."""
    if descriptor.size > CONFIG_BYTES_AT_MOST:
        raise ContentInvalid(source.name, reason="config", cause="the config is too large to be one")
    content = b"".join([chunk async for chunk in source.blob(descriptor).chunks()])
    found = Digest.of(content, descriptor.digest.algorithm)
    if found != descriptor.digest:
        evidence = [f"wanted {descriptor.digest}", f"got {found}"]
        raise DigestMismatch(f"{source.name}@{descriptor.digest}", evidence=evidence)
    return content


def parsed_manifest(source: Readable, descriptor: Descriptor, content: bytes) -> Manifest:
    """A manifest of the size that was told; raises LyingRegistry, ContentInvalid."""
    subject = f"{source.name}@{descriptor.digest}"
    if len(content) != descriptor.size:
        evidence = [f"{len(content)} bytes, {descriptor.size} were told"]
        raise LyingRegistry(subject, reason="size", evidence=evidence)
    try:
        return parse_manifest(content, descriptor.media_type)
    except RegistryError as error:
        evidence = [f"{name}: {value}" for name, value in error.detail.items()]
        raise ContentInvalid(subject, reason="manifest", cause=error.message, evidence=evidence) from error


async def each(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """What all of them give, in order; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_awaited(awaitable)) for awaitable in awaitables]
    except* (ClientError, OSError) as failures:
        raise first_of(failures) from None
    return [task.result() for task in tasks]


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable
