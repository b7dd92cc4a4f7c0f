"""Manifests and indexes, read strictly (image spec, manifest.md and image-index.md; Docker's schema 2)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final

from entrepot.oci.descriptor import SIZE_AT_MOST, Descriptor, read_media_type
from entrepot.oci.faults import ManifestFault, below, refuse, shown
from entrepot.oci.media_types import (
    ARTIFACT_MANIFEST_TYPES,
    CONFIG_TYPES,
    DOCKER_SCHEMA1_TYPES,
    INDEX_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    OCI_IMAGE_INDEX,
    OCI_IMAGE_MANIFEST,
    parse_media_type,
)
from entrepot.oci.strict_json import (
    JsonObject,
    check_spelling,
    decode_object,
    read_annotations,
    read_list,
)

LAYERS_AT_MOST: Final = 10_000  # images have at most 127; artifacts may have one layer for each file
MANIFESTS_AT_MOST: Final = 10_000

CREATED_ANNOTATION: Final = "org.opencontainers.image.created"

_SCHEMA_VERSION = 2
_PROPERTIES = frozenset(
    {
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "fsLayers",
    }
)
_IMAGE_ONLY = ("config", "layers", "fsLayers")
_INDEX_ONLY = ("manifests", "fsLayers")
_OCI_TYPES = frozenset({OCI_IMAGE_MANIFEST, OCI_IMAGE_INDEX})
_BLOB_TYPES = LAYER_TYPES | CONFIG_TYPES
_SCHEMA1_ADVICE = "Docker schema 1 is not accepted: push with a client that writes Docker schema 2 or OCI manifests"
_ARTIFACT_ADVICE = "artifact manifests are not accepted: push an OCI image manifest with artifactType (image spec 1.1)"

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,32}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


class BlobRole(StrEnum):
    """What a blob is to the manifest that names it."""

    CONFIG = "config"
    LAYER = "layer"
    ENTRY = "entry"
    """An entry of an index that is no manifest, such as a layer of BuildKit's cache."""


@dataclass(frozen=True, slots=True)
class BlobReference:
    """A blob that a manifest names."""

    role: BlobRole
    ordinal: int
    """The position in ``layers`` or ``manifests``; 0 for the config."""
    descriptor: Descriptor
    required: bool
    """Whether the repository must have the blob before it may have the manifest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest or an image index, of OCI's or Docker's type."""

    media_type: str
    """In lower case, without parameters."""
    artifact_type: str | None
    """As listing referrers shows it: ``artifactType`` as written, else for an image manifest the config's type."""
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations: Mapping[str, str] = field(hash=False)
    size: int
    """Bytes of the manifest itself."""

    @property
    def is_index(self) -> bool:
        """Whether this is an image index (a manifest list, in Docker's words)."""
        return self.media_type in INDEX_TYPES

    def blob_references(self) -> tuple[BlobReference, ...]:
        """The blobs that are named here: config and layers, or entries of an index that are no manifests.

        A non-distributable or foreign layer with ``urls`` is not required, nor is an index entry of an unknown type
        ("MUST NOT generate an error", image-index.md). A descriptor that embeds ``data`` is: clients may fetch it.
        """
        if self.is_index:
            return tuple(
                BlobReference(
                    BlobRole.ENTRY, ordinal, entry, entry.media_type.lower() in _BLOB_TYPES and not entry.is_elsewhere
                )
                for ordinal, entry in enumerate(self.manifests)
                if not entry.is_manifest
            )
        layers = tuple(
            BlobReference(BlobRole.LAYER, ordinal, layer, not layer.is_elsewhere)
            for ordinal, layer in enumerate(self.layers)
        )
        if self.config is None:
            return layers
        return (BlobReference(BlobRole.CONFIG, 0, self.config, required=True), *layers)

    def child_references(self) -> tuple[Descriptor, ...]:
        """The entries of an index that are manifests, in order; they need not be there ("sparse index")."""
        return tuple(entry for entry in self.manifests if entry.is_manifest)

    @property
    def total_size(self) -> int:
        """Bytes of the manifest and of everything it names, each digest once, the subject not; at most 2^63 - 1."""
        named = (*self.layers, *self.manifests) if self.config is None else (self.config, *self.layers, *self.manifests)
        sizes = {descriptor.digest: descriptor.size for descriptor in named}
        return min(self.size + sum(sizes.values()), SIZE_AT_MOST)

    @property
    def created(self) -> datetime | None:
        """When the image was built, in UTC, as its annotation says; None without a readable one."""
        text = self.annotations.get(CREATED_ANNOTATION)
        return None if text is None else parse_timestamp(text)


def parse_manifest(content: bytes, content_type: str | None) -> Manifest:
    """Read a manifest as it was pushed with this ``Content-Type`` header.

    Parameters of the header are ignored; without one the body's ``mediaType`` counts, and without both its properties
    tell an OCI image manifest from an index. ``null`` is absent. Raises ManifestInvalid with ``path`` and ``reason`` (a
    ManifestFault) for everything that readers could understand differently or that breaks the image spec.
    """
    document = decode_object(content)
    check_spelling(document, _PROPERTIES, "$")
    media_type = _media_type(document, content_type)
    _check_schema_version(document)
    is_index = media_type in INDEX_TYPES
    for key in _IMAGE_ONLY if is_index else _INDEX_ONLY:
        if document.get(key) is not None:
            refuse(below("$", key), ManifestFault.AMBIGUOUS, media_type=media_type)

    config = None
    if not is_index:
        if document.get("config") is None:
            refuse("$.config", ManifestFault.MISSING)
        config = Descriptor.from_json(document["config"], "$.config")
    # Docker's formats have neither of these two.
    is_oci = media_type in _OCI_TYPES
    subject = document.get("subject") if is_oci else None
    artifact_type = read_media_type(document.get("artifactType"), "$.artifactType") if is_oci else None
    return Manifest(
        media_type=media_type,
        artifact_type=artifact_type if artifact_type is not None or config is None else config.media_type,
        config=config,
        layers=_descriptors(document, "layers", LAYERS_AT_MOST),
        manifests=_descriptors(document, "manifests", MANIFESTS_AT_MOST),
        subject=None if subject is None else Descriptor.from_json(subject, "$.subject"),
        annotations=read_annotations(document.get("annotations"), "$.annotations"),
        size=len(content),
    )


def parse_timestamp(text: str) -> datetime | None:
    """Read an RFC 3339 date and time into UTC, to the microsecond; None if it is none that ``datetime`` can hold."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    microsecond = int((fraction or "")[:6].ljust(6, "0"))
    try:
        zone = UTC
        if sign is not None:
            offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
            zone = timezone(-offset if sign == "-" else offset)
        return datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, zone
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _media_type(document: JsonObject, content_type: str | None) -> str:
    """The manifest's type in lower case, agreed by header and body."""
    written = read_media_type(document.get("mediaType"), "$.mediaType")
    in_body = None if written is None else written.lower()
    in_header = None
    if content_type is not None and content_type.strip():
        in_header = parse_media_type(content_type)
        if in_header is None:
            refuse("$", ManifestFault.CONTENT_TYPE, value=shown(content_type))
    media_type = in_header or in_body or _inferred(document)
    for candidate in (in_header, in_body):
        if candidate in DOCKER_SCHEMA1_TYPES:
            refuse("$.schemaVersion", ManifestFault.DOCKER_SCHEMA1, advice=_SCHEMA1_ADVICE)
        if candidate in ARTIFACT_MANIFEST_TYPES:
            refuse("$.mediaType", ManifestFault.ARTIFACT_MANIFEST, advice=_ARTIFACT_ADVICE)
    if in_body is not None and in_body != media_type:
        refuse("$.mediaType", ManifestFault.MEDIA_TYPE_MISMATCH, content_type=media_type, media_type=in_body)
    if media_type not in MANIFEST_TYPES:
        _refuse_schema1(document)
        refuse("$.mediaType", ManifestFault.MEDIA_TYPE_UNSUPPORTED, media_type=media_type)
    return media_type


def _inferred(document: JsonObject) -> str:
    """The type that the properties show; it SHOULD be written, so it need not (manifest.md, image-index.md)."""
    _refuse_schema1(document)
    is_index = document.get("manifests") is not None
    is_image = document.get("config") is not None or document.get("layers") is not None
    if is_index and is_image:
        refuse("$.manifests", ManifestFault.AMBIGUOUS)
    if not (is_index or is_image):
        refuse("$.mediaType", ManifestFault.MEDIA_TYPE_MISSING)
    return OCI_IMAGE_INDEX if is_index else OCI_IMAGE_MANIFEST


def _refuse_schema1(document: JsonObject) -> None:
    """Refuse what looks like Docker's schema 1 under another or no name."""
    version = document.get("schemaVersion")
    if version is not True and (version == 1 or (version != _SCHEMA_VERSION and document.get("fsLayers") is not None)):
        refuse("$.schemaVersion", ManifestFault.DOCKER_SCHEMA1, advice=_SCHEMA1_ADVICE)


def _check_schema_version(document: JsonObject) -> None:
    version = document.get("schemaVersion")
    if version is None:
        refuse("$.schemaVersion", ManifestFault.MISSING)
    if not isinstance(version, int) or isinstance(version, bool):
        refuse("$.schemaVersion", ManifestFault.WRONG_TYPE, wanted="integer")
    _refuse_schema1(document)
    if version != _SCHEMA_VERSION:
        refuse("$.schemaVersion", ManifestFault.SCHEMA_VERSION)


def _descriptors(document: JsonObject, key: str, at_most: int) -> tuple[Descriptor, ...]:
    path = below("$", key)
    entries = read_list(document.get(key), path, at_most)
    return tuple(Descriptor.from_json(entry, f"{path}[{position}]") for position, entry in enumerate(entries))
