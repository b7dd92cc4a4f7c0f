"""An OCI image layout: a folder of blobs and an index (image spec, image-layout.md)."""

import contextlib
import fcntl
import json
import os
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from entrepot.client.errors import ContentInvalid, DigestMismatch, NotFound, UnsupportedHere
from entrepot.client.files import file_errors, in_thread, read_bounded, read_range, write_file
from entrepot.client.progress import Event, Progress, Stage
from entrepot.client.targets.digest_tags import digest_tags
from entrepot.client.targets.port import BlobContent
from entrepot.client.targets.receiving import Receiving
from entrepot.client.targets.written_names import tags_of
from entrepot.oci import (
    IMAGE_MANIFEST_TYPES,
    INDEX_TYPES,
    OCI_IMAGE_INDEX,
    Descriptor,
    Digest,
    Manifest,
    Reference,
    RegistryError,
    Tag,
    parse_manifest,
)

LAYOUT_FILE: Final = "oci-layout"
INDEX_FILE: Final = "index.json"
PARTIAL_FOLDER: Final = ".partial"
"""Where content lies until it is whole and right, so that ``blobs`` has nothing else at any time."""
REF_NAME: Final = "org.opencontainers.image.ref.name"
ENTRIES_AT_MOST: Final = 10_000
INDEX_BYTES_AT_MOST: Final = 8 * 1024 * 1024
MANIFEST_BYTES_AT_MOST: Final = 8 * 1024 * 1024
_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
_DEPTH_AT_MOST: Final = 8  # of indexes in indexes
_MARKER_BYTES_AT_MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class FileBlob:
    """A blob that lies in a file."""

    descriptor: Descriptor
    path: Path
    start: int = 0
    """Where in the file it begins."""
    parts_at_most: int = 1
    repository: tuple[str, str] | None = None

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes of a range of the blob."""
        end = self.descriptor.size if stop is None else stop
        async with contextlib.aclosing(read_range(self.path, self.start + start, self.start + end)) as found:
            async for chunk in found:
                yield chunk


def read_index(content: bytes, name: str) -> Manifest:
    """The index of a layout; raises ContentInvalid."""
    try:
        return parse_manifest(content, OCI_IMAGE_INDEX)
    except RegistryError as error:
        raise invalid(name, error) from error


def invalid(name: str, error: RegistryError) -> ContentInvalid:
    """What is wrong with a manifest or index that lies in a file."""
    evidence = [f"{key}: {value}" for key, value in error.detail.items()]
    return ContentInvalid(name, reason="manifest", cause=error.message, evidence=evidence)


def resolve_in(index: Manifest, reference: Reference | None, name: str) -> Descriptor:
    """The entry of a layout's index for a reference, the only one for none; raises NotFound with what is there."""
    entries = index.manifests
    if reference is None:
        roots = [entry for entry in entries if not _is_digest_tag(entry)]
        found = roots if len({entry.digest for entry in roots}) == 1 else []
    elif isinstance(reference, Digest):
        found = [entry for entry in entries if entry.digest == reference]
    else:
        found = [entry for entry in entries if is_named(entry, reference)]
    if found:
        return found[-1]
    names = [entry.annotations.get(REF_NAME, str(entry.digest)) for entry in entries]
    cause = "it has several images: say which" if reference is None and names else ""
    raise NotFound(
        name if reference is None else f"{name}:{reference}", cause=cause, evidence=[f"there are: {', '.join(names)}"]
    )


def is_named(entry: Descriptor, tag: Tag) -> bool:
    """Whether an entry has this name; some tools write the whole reference there."""
    text = entry.annotations.get(REF_NAME, "")
    return text == tag.text or text.endswith(f":{tag.text}")


def _is_digest_tag(entry: Descriptor) -> bool:
    return entry.annotations.get(REF_NAME, "").startswith(("sha256-", "sha512-"))


class LayoutFiles(Protocol):
    """The files of a layout, in a folder or in an archive."""

    def read(self, name: str, at_most: int) -> bytes:
        """A small file; raises NotFound, Unwritable, ContentInvalid."""
        ...

    def find(self, name: str) -> tuple[Path, int, int] | None:
        """Where a file lies, the byte at which it begins there, and its size; None if there is none."""
        ...


class ReadableLayout:
    """Implements Readable over the files of a layout."""

    def __init__(self, files: LayoutFiles, label: str) -> None:
        self._files = files
        self._label = label
        self._referring: dict[Digest, list[Descriptor]] | None = None

    @property
    def name(self) -> str:
        """The place as it was given."""
        return self._label

    async def resolve(self, reference: Reference | None) -> Descriptor:
        """What the index names, or any manifest that is there by its digest."""
        try:
            return resolve_in(self.index(), reference, self._label)
        except NotFound:
            if isinstance(reference, Digest) and self._files.find(blob_name(reference)) is not None:
                content = self._files.read(blob_name(reference), MANIFEST_BYTES_AT_MOST)
                return described(content, reference, self._label)
            raise

    async def tags(self) -> Sequence[Tag]:
        """The names in the index; of whole references, which some tools write there, the tag."""
        names = [entry.annotations.get(REF_NAME) for entry in self.index().manifests]
        return tags_of([name for name in names if name], self._label)

    async def manifest(self, descriptor: Descriptor) -> bytes:
        """A manifest of the layout, checked."""
        name = blob_name(descriptor.digest)
        content = await in_thread(self._files.read, name, MANIFEST_BYTES_AT_MOST)
        check_content(content, descriptor.digest, f"{self._label}: {name}")
        return content

    def blob(self, descriptor: Descriptor) -> FileBlob:
        """A blob of the layout; raises NotFound, ContentInvalid for a file of another size."""
        name = blob_name(descriptor.digest)
        found = self._files.find(name)
        if found is None:
            raise NotFound(f"{self._label}: {name}", cause="the layout lacks this blob")
        path, start, size = found
        if size != descriptor.size:
            evidence = [f"wanted {descriptor.size} bytes, it has {size}"]
            raise ContentInvalid(
                f"{self._label}: {name}", reason="size", cause="the file is damaged", evidence=evidence
            )
        return FileBlob(descriptor, path, start)

    async def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """The manifests that the index lists and whose subject is this one."""
        if self._referring is None:
            self._referring = await referring(self.index().manifests, self.manifest)
        return self._referring.get(digest, [])

    async def digest_tags(self, digest: Digest) -> Sequence[tuple[Tag, Descriptor]]:
        """The entries of the index with such names."""
        wanted = digest_tags(digest)
        return [(tag, entry) for entry in self.index().manifests for tag in wanted if is_named(entry, tag)]

    def index(self) -> Manifest:
        """The layout's index; raises NotFound, ContentInvalid."""
        check_marker(self._files.read(LAYOUT_FILE, _MARKER_BYTES_AT_MOST), f"{self._label}: {LAYOUT_FILE}")
        return read_index(self._files.read(INDEX_FILE, INDEX_BYTES_AT_MOST), f"{self._label}: {INDEX_FILE}")


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """Implements LayoutFiles over a folder."""

    folder: Path

    def read(self, name: str, at_most: int) -> bytes:
        """A small file."""
        return read_bounded(self.folder / name, at_most)

    def find(self, name: str) -> tuple[Path, int, int] | None:
        """Where a file lies."""
        path = self.folder / name
        return (path, 0, path.stat().st_size) if path.is_file() else None


class Layout(ReadableLayout):
    """Implements Readable and Writable over a folder; several processes may write to it."""

    def __init__(self, folder: Path, label: str | None = None) -> None:
        super().__init__(FolderFiles(folder), label or f"oci:{folder}")
        self._folder = folder
        self._new: list[Descriptor] = []

    @property
    def keeps_whole(self) -> bool:
        """Files may have been removed, or not have come."""
        return False

    async def tagged(self, tag: Tag) -> Digest | None:
        """What the index names so."""
        if not self.exists():
            return None
        found = [entry for entry in self.index().manifests if is_named(entry, tag)]
        return found[-1].digest if found else None

    async def has_manifest(self, descriptor: Descriptor) -> bool:
        """Whether the manifest is there with all that it names; of blobs the size is looked at, not the content."""
        return await in_thread(self._is_whole, descriptor, _DEPTH_AT_MOST)

    async def put_blob(self, content: BlobContent, progress: Progress) -> None:
        """Fetch the blob into the layout."""
        descriptor = content.descriptor
        path = self._path(descriptor.digest)
        if self._has_file(descriptor):
            progress(Event(Stage.EXISTS, descriptor, descriptor.size))
            return
        self._prepare()
        await Receiving(content, path, self._folder / PARTIAL_FOLDER, progress).run()
        progress(Event(Stage.DONE, descriptor, descriptor.size))

    async def put_manifest(self, descriptor: Descriptor, content: bytes, tags: Sequence[Tag]) -> None:
        """Store a manifest; the index names it when everything is finished."""
        self._prepare()
        path = self._path(descriptor.digest)
        with file_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            await in_thread(write_file, path, content, self._folder / PARTIAL_FOLDER)
        self._new += [_named(_plain(descriptor), tag) for tag in tags]

    async def list_untagged(self, image: Descriptor) -> None:
        """Name it in the index, where readers look for images and referrers."""
        self._new.append(_plain(image))

    def exists(self) -> bool:
        """Whether anything was written here."""
        return (self._folder / INDEX_FILE).exists()

    async def remove(self, is_unwanted: Callable[[Descriptor], bool]) -> None:
        """Take entries out of the index; what they name stays."""
        path = self._folder / INDEX_FILE
        with file_errors(path), _exclusive(self._folder):
            write_file(path, self._bounded([entry for entry in self.index().manifests if not is_unwanted(entry)]))

    async def tag(self, descriptor: Descriptor, tags: Sequence[Tag]) -> None:
        """Give a manifest that is there names in the index."""
        self._new += [_named(descriptor, tag) for tag in tags]

    async def finish(self) -> None:
        """Write the index, once for all that was stored, beside others who do the same."""
        if not self._new:
            return
        self._prepare()
        path = self._folder / INDEX_FILE
        with file_errors(path), _exclusive(self._folder):
            entries = list(self.index().manifests) if path.exists() else []
            for entry in self._new:
                name = entry.annotations.get(REF_NAME)
                same = [
                    known
                    for known in entries
                    if (known.annotations.get(REF_NAME) == name if name else known.digest == entry.digest)
                ]
                if name is None and same:
                    continue
                entries = [known for known in entries if known not in same]
                entries.append(entry)
            write_file(path, self._bounded(entries))
        self._new.clear()
        with contextlib.suppress(OSError):
            (self._folder / PARTIAL_FOLDER).rmdir()

    def _bounded(self, entries: list[Descriptor]) -> bytes:
        """The index with these entries, if it can be read again; raises UnsupportedHere."""
        content = _index_of(entries)
        if len(entries) > ENTRIES_AT_MOST or len(content) > INDEX_BYTES_AT_MOST:
            cause = f"the index of a layout has at most {ENTRIES_AT_MOST} entries and {INDEX_BYTES_AT_MOST} bytes"
            raise UnsupportedHere(self.name, reason="entries", cause=cause, evidence=[f"{len(entries)} entries"])
        return content

    def _has_file(self, descriptor: Descriptor) -> bool:
        path = self._path(descriptor.digest)
        return path.is_file() and path.stat().st_size == descriptor.size

    def _is_whole(self, descriptor: Descriptor, depth: int) -> bool:
        if not self._has_file(descriptor):
            return False
        content = self._files.read(blob_name(descriptor.digest), MANIFEST_BYTES_AT_MOST)
        if Digest.of(content, descriptor.digest.algorithm) != descriptor.digest:
            return False
        try:
            manifest = parse_manifest(content, descriptor.media_type)
        except RegistryError:
            return False
        blobs = [blob.descriptor for blob in manifest.blob_references() if blob.required]
        return all(map(self._has_file, blobs)) and all(
            depth > 0 and self._is_whole(child, depth - 1) for child in manifest.child_references()
        )

    def _prepare(self) -> None:
        """Make the folder a layout."""
        marker = self._folder / LAYOUT_FILE
        with file_errors(self._folder):
            if not marker.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                write_file(marker, _LAYOUT)
            index = self._folder / INDEX_FILE
            if not index.exists():
                with _exclusive(self._folder):
                    if not index.exists():
                        write_file(index, _index_of([]))

    def _path(self, digest: Digest) -> Path:
        return self._folder / blob_name(digest)


def _index_of(entries: Sequence[Descriptor]) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX,
        "manifests": [entry.to_json() for entry in entries],
    }
    return json.dumps(document, indent=2).encode()


def blob_name(digest: Digest) -> str:
    """Where a layout keeps content; a digest has no other characters than letters and digits."""
    return f"blobs/{digest.algorithm.value}/{digest.encoded}"


def check_marker(content: bytes, name: str) -> None:
    """Refuse what is no layout of a version that is known."""
    try:
        version = str(json.loads(content)["imageLayoutVersion"])
    except (ValueError, KeyError, TypeError, RecursionError):
        version = ""
    if not version.startswith("1."):
        raise ContentInvalid(name, reason="layout", cause="this is no OCI image layout of version 1")


def check_content(content: bytes, digest: Digest, name: str) -> None:
    """Refuse content with another digest than the one that it is kept under."""
    found = Digest.of(content, digest.algorithm)
    if found != digest:
        evidence = [f"wanted {digest}", f"got {found}"]
        raise DigestMismatch(name, cause="the file was changed or is damaged", evidence=evidence, expected=str(digest))


def described(content: bytes, digest: Digest, name: str) -> Descriptor:
    """The descriptor of a manifest that is known by its digest only; raises ContentInvalid."""
    check_content(content, digest, name)
    try:
        return Descriptor(parse_manifest(content, None).media_type, digest, len(content))
    except RegistryError as error:
        raise invalid(name, error) from error


async def referring(entries: Sequence[Descriptor], manifest_of: Any) -> dict[Digest, list[Descriptor]]:
    """The entries of an index by the digest of their subjects."""
    found: dict[Digest, list[Descriptor]] = {}
    for entry in {entry.digest: entry for entry in entries}.values():
        if entry.media_type.lower() not in IMAGE_MANIFEST_TYPES | INDEX_TYPES:
            continue
        try:
            subject = _subject_of(await manifest_of(entry), entry)
        except NotFound:
            # Of another image that was not kept as a whole.
            continue
        if subject is not None:
            found.setdefault(subject, []).append(entry)
    return found


def _subject_of(content: bytes, descriptor: Descriptor) -> Digest | None:
    try:
        subject = parse_manifest(content, descriptor.media_type).subject
    except RegistryError:
        return None
    return None if subject is None else subject.digest


def _plain(entry: Descriptor) -> Descriptor:
    return Descriptor(entry.media_type, entry.digest, entry.size, platform=entry.platform)


def _named(entry: Descriptor, tag: Tag) -> Descriptor:
    return Descriptor(
        entry.media_type, entry.digest, entry.size, annotations={REF_NAME: tag.text}, platform=entry.platform
    )


@contextlib.contextmanager
def _exclusive(folder: Path) -> Generator[None, None, None]:
    """Keep others from writing the index of the same layout meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
