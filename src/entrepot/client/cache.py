"""What was pulled before, shared by all commands and processes that name the same folder."""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from entrepot.client.copy import Copied, Copy, CopyOptions, image_at
from entrepot.client.errors import DigestMismatch, NotFound
from entrepot.client.files import file_errors, in_thread
from entrepot.client.platforms import WantedPlatform
from entrepot.client.progress import Progress
from entrepot.client.references import ImageReference
from entrepot.client.targets.layout import Layout, blob_name
from entrepot.client.targets.port import Readable, Writable
from entrepot.oci import Descriptor, Digest, Reference, Tag

_READ_BYTES: Final = 1024 * 1024


class Cache:
    """A folder with a layout for each repository; their blobs lie together, so that each is fetched once.

    Nothing is ever removed: whoever wants the room back deletes the folder.
    """

    def __init__(self, folder: Path, *, is_offline: bool = False) -> None:
        """``is_offline`` is to say that what is not in the folder is not asked for."""
        self._folder = folder
        self._is_offline = is_offline

    async def copy(
        self,
        source: Readable,
        image: ImageReference,
        target: Writable,
        tags: Sequence[Tag],
        options: CopyOptions,
        progress: Progress,
    ) -> Copied:
        """Bring an image into the folder, unless offline, and copy it from there; raises what a copy raises.

        A damaged blob is removed from the folder, and fetched again unless offline.
        """
        while True:
            found = await self._found(source, image, options, progress)
            copying = Copy(self._layout(image), target, replace(options, platform=None), progress)
            try:
                return await copying.run(found.digest, tags)
            except DigestMismatch as error:
                expected = error.detail.get("expected")
                is_ours = isinstance(expected, str) and await self._drop_damaged(Digest.parse(expected))
                if self._is_offline or not is_ours:
                    raise

    def _layout(self, image: ImageReference) -> Layout:
        """What is there of a repository; raises Unwritable, DiskFull."""
        folder = self._folder / "repositories" / hashlib.sha256(image.place.encode()).hexdigest()
        with file_errors(folder):
            (self._folder / "blobs").mkdir(parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                (folder / "blobs").symlink_to(os.path.relpath(self._folder / "blobs", folder))
        return Layout(folder, f"the cache of {image.place}")

    async def _found(
        self, source: Readable, image: ImageReference, options: CopyOptions, progress: Progress
    ) -> Descriptor:
        """What a reference names at the registry now, brought here; offline, what it named when it was last brought."""
        if self._is_offline:
            return await self._found_offline(image, options.platform)
        names = _names(image.reference, options.platform)
        copying = Copy(source, self._layout(image), replace(options, no_clobber=False), progress)
        return (await copying.run(image.reference, names)).descriptor

    async def _found_offline(self, image: ImageReference, platform: WantedPlatform | None) -> Descriptor:
        layout = self._layout(image)
        for name in _names(image.reference, platform) if platform is not None else ():
            with contextlib.suppress(NotFound):
                return await layout.resolve(name)
        try:
            return await image_at(layout, image.reference, platform)
        except NotFound as error:
            if type(error) is not NotFound:
                raise
            cause = "it has not been pulled with this cache before"
            raise NotFound(str(image), cause=cause, next_command="the same command without --offline") from error

    async def _drop_damaged(self, digest: Digest) -> bool:
        """Remove a blob that is not what its name says; says whether it was so."""
        path = self._folder / blob_name(digest)
        if not path.exists() or await in_thread(_hashed, path, digest.algorithm.value) == digest.encoded:
            return False
        path.unlink(missing_ok=True)
        return True


def _names(reference: Reference, platform: WantedPlatform | None) -> list[Tag]:
    """Under which tags a layout of the cache has an image; one of an index is not what the tag means."""
    if platform is not None:
        text = f"{reference} {platform}"
        return [Tag(f"platform-{hashlib.sha256(text.encode()).hexdigest()}")]
    return [reference] if isinstance(reference, Tag) else []


def _hashed(path: Path, algorithm: str) -> str:
    found = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            found.update(chunk)
    return found.hexdigest()
