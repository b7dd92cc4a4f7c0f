"""What was pulled before, shared by all commands and processes that name the same folder."""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from typing_extensions import override

from entrepot.client.copy import Copied, Copy, CopyOptions, image_at
from entrepot.client.errors import DigestMismatch, NotFound, PlatformNotFound
from entrepot.client.files import file_errors, in_thread
from entrepot.client.platforms import WantedPlatform
from entrepot.client.progress import Progress
from entrepot.client.references import ImageReference
from entrepot.client.targets.layout import REF_NAME, Layout, blob_name
from entrepot.client.targets.port import Readable, Writable
from entrepot.oci import Descriptor, Digest, Reference, Tag

ENTRIES_KEPT: Final = 5000


class Cache:
    """A folder with a layout for each repository; their blobs lie together, so that each is fetched once.

    Blobs are never removed: whoever wants the room back deletes the folder.
    """

    def __init__(self, folder: Path, *, is_offline: bool = False) -> None:
        """``is_offline`` is to say that what is not in the folder is not asked for."""
        self._folder = folder
        self.is_offline = is_offline

    def layout(self, image: ImageReference) -> "CachedRepository":
        """What is there of a repository; raises Unwritable, DiskFull."""
        folder = self._folder / "repositories" / hashlib.sha256(image.place.encode()).hexdigest()
        with file_errors(folder):
            (self._folder / "blobs").mkdir(parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                (folder / "blobs").symlink_to(os.path.relpath(self._folder / "blobs", folder))
        return CachedRepository(folder, f"the cache of {image.place}")

    async def copy(
        self,
        source: Readable,
        image: ImageReference,
        target: Writable,
        tags: Sequence[Tag],
        options: CopyOptions,
        progress: Progress,
        expected: Digest | None = None,
    ) -> Copied:
        """Bring an image into the folder, unless offline, and copy it from there; raises what a copy raises.

        A damaged blob is removed from the folder, and fetched again unless offline.
        """
        while True:
            found = await self._found(source, image, options, progress)
            copying = Copy(self.layout(image), target, replace(options, platform=None), progress)
            try:
                return await copying.run(found, tags, expected)
            except DigestMismatch as error:
                damaged = error.detail.get("expected")
                is_ours = isinstance(damaged, str) and await self._drop_damaged(Digest.parse(damaged))
                if self.is_offline or not is_ours:
                    raise

    async def _found(self, source: Readable, image: ImageReference, options: CopyOptions, progress: Progress) -> Digest:
        """What a reference names at the registry now, brought here; offline, what it named when it was last brought."""
        layout = self.layout(image)
        if self.is_offline:
            return await layout.found(image, options.platform)
        means = (await source.resolve(image.reference)).digest
        names = layout.names_of(image.reference, means, options.platform)
        copying = Copy(source, layout, replace(options, no_clobber=False), progress)
        copied = (await copying.run(means, names)).descriptor
        await layout.forget_others(image.reference, means)
        return copied.digest

    async def _drop_damaged(self, digest: Digest) -> bool:
        """Remove a blob that is not what its name says; says whether it was so."""
        path = self._folder / blob_name(digest)
        if not path.exists() or await in_thread(_hashed, path, digest.algorithm.value) == digest.encoded:
            return False
        path.unlink(missing_ok=True)
        return True


class CachedRepository(Layout):
    """A layout whose tags are those of a repository; one image of an index has a name of its own.

    That is made of the reference, of what it meant when it was fetched, and of the platform.
    """

    def names_of(self, reference: Reference, means: Digest, platform: WantedPlatform | None) -> list[Tag]:
        """The tags under which an image is kept."""
        if platform is not None:
            return [Tag(f"{_begin(reference)}{_short(str(means))}{_short(str(platform))}")]
        return [reference] if isinstance(reference, Tag) else []

    async def found(self, image: ImageReference, platform: WantedPlatform | None) -> Digest:
        """What a reference named when it was last fetched; raises NotFound, PlatformNotFound."""
        if platform is not None:
            begin, end = _begin(image.reference), _short(str(platform))
            for entry in self._entries():
                name = entry.annotations.get(REF_NAME, "")
                if name.startswith(begin) and name.endswith(end):
                    return entry.digest
        try:
            return (await image_at(self, image.reference, platform)).digest
        except PlatformNotFound:
            raise
        except NotFound as error:
            cause = "it has not been pulled with this cache before"
            raise NotFound(str(image), cause=cause, next_command="the same command without --offline") from error

    async def forget_others(self, reference: Reference, means: Digest) -> None:
        """Forget what a tag meant before."""
        begin, now = _begin(reference), _begin(reference) + _short(str(means))

        def is_old(entry: Descriptor) -> bool:
            name = entry.annotations.get(REF_NAME, "")
            is_other_tag = name == str(reference) and entry.digest != means
            return is_other_tag or (name.startswith(begin) and not name.startswith(now))

        if any(map(is_old, self._entries())):
            await self.remove(is_old)

    @override
    def _bounded(self, entries: list[Descriptor]) -> bytes:
        """Of too many the oldest are forgotten."""
        return super()._bounded(entries[-ENTRIES_KEPT:])

    def _entries(self) -> Sequence[Descriptor]:
        return self.index().manifests if self.exists() else ()


def _begin(reference: Reference) -> str:
    return f"one-of-{_short(str(reference))}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _hashed(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
