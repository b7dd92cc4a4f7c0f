"""Descriptors: typed references to content (image spec, descriptor.md)."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from entrepot.oci.digest import Digest
from entrepot.oci.errors import DigestInvalid
from entrepot.oci.faults import ManifestFault, below, refuse, shown
from entrepot.oci.media_types import (
    MANIFEST_TYPES,
    MEDIA_TYPE_CHARACTERS_AT_MOST,
    NONDISTRIBUTABLE_LAYER_TYPES,
    RETIRED_MANIFEST_TYPES,
    is_media_type,
)
from entrepot.oci.strict_json import (
    NO_ANNOTATIONS,
    JsonObject,
    check_spelling,
    read_annotations,
    read_list,
    read_object,
    read_text,
)

SIZE_AT_MOST: Final = 2**63 - 1  # the specification's int64
URLS_AT_MOST: Final = 128
URL_CHARACTERS_AT_MOST: Final = 8192  # RFC 9110 section 4.1 asks for 8000 octets
PLATFORM_CHARACTERS_AT_MOST: Final = 255
OS_FEATURES_AT_MOST: Final = 128

_PROPERTIES = frozenset(
    {
        "mediaType",
        "digest",
        "size",
        "urls",
        "annotations",
        "data",
        "artifactType",
        "platform",
    }
)
_URI_CHARACTERS = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image needs to run, as an index says it (image spec, image-index.md); None where nothing is said."""

    architecture: str | None = None
    os: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] = ()
    variant: str | None = None

    @classmethod
    def from_json(cls, value: object, path: str = "$") -> Self:
        """Read a decoded ``platform`` object that stands at ``path``; raises ManifestInvalid."""
        found = read_object(value, path)
        features_path = below(path, "os.features")
        features = read_list(found.get("os.features"), features_path, OS_FEATURES_AT_MOST)
        return cls(
            architecture=_platform_text(found, "architecture", path),
            os=_platform_text(found, "os", path),
            os_version=_platform_text(found, "os.version", path),
            os_features=tuple(
                read_text(feature, below(features_path, position), PLATFORM_CHARACTERS_AT_MOST)
                for position, feature in enumerate(features)
            ),
            variant=_platform_text(found, "variant", path),
        )

    def to_json(self) -> JsonObject:
        """The object to encode, without what is not said."""
        said = {
            "architecture": self.architecture,
            "os": self.os,
            "os.version": self.os_version,
            "os.features": list(self.os_features) or None,
            "variant": self.variant,
        }
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: its type, address and size in bytes."""

    media_type: str
    """As written; compare it in lower case."""
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=lambda: NO_ANNOTATIONS, hash=False)
    artifact_type: str | None = None
    platform: Platform | None = None
    data: bytes | None = field(default=None, repr=False)
    """The content itself where the descriptor embeds it ("Embedded Content"); checked against digest and size."""

    @classmethod
    def from_json(cls, value: object, path: str = "$") -> Self:
        """Read a decoded descriptor that stands at ``path``; raises ManifestInvalid.

        ``null`` counts as absent for optional properties, unknown properties are ignored.
        """
        found = read_object(value, path)
        check_spelling(found, _PROPERTIES, path)
        media_type = _media_type(found, "mediaType", path)
        if media_type is None:
            refuse(below(path, "mediaType"), ManifestFault.MISSING)
        digest = _digest(found, path)
        size = _size(found, path)
        platform = found.get("platform")
        return cls(
            media_type=media_type,
            digest=digest,
            size=size,
            urls=_urls(found["urls"], below(path, "urls")) if "urls" in found else (),
            annotations=read_annotations(found.get("annotations"), below(path, "annotations")),
            artifact_type=_media_type(found, "artifactType", path),
            platform=Platform.from_json(platform, below(path, "platform")) if platform is not None else None,
            data=_data(found["data"], digest, size, below(path, "data")) if "data" in found else None,
        )

    def to_json(self) -> JsonObject:
        """The object to encode, without absent properties."""
        made: JsonObject = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.urls:
            made["urls"] = list(self.urls)
        if self.annotations:
            made["annotations"] = dict(self.annotations)
        if self.data is not None:
            made["data"] = base64.b64encode(self.data).decode("ascii")
        if self.artifact_type is not None:
            made["artifactType"] = self.artifact_type
        if self.platform is not None:
            made["platform"] = self.platform.to_json()
        return made

    @property
    def is_manifest(self) -> bool:
        """Whether the content is a manifest by its type, of a kind that is accepted or of one that was retired."""
        media_type = self.media_type.lower()
        return media_type in MANIFEST_TYPES or media_type in RETIRED_MANIFEST_TYPES

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is a non-distributable or foreign layer with ``urls``, which no registry needs to have."""
        return bool(self.urls) and self.media_type.lower() in NONDISTRIBUTABLE_LAYER_TYPES


def read_media_type(value: object, path: str) -> str | None:
    """Take a decoded value for a media type as written; null and "" are none. Raises ManifestInvalid."""
    if value is None or (isinstance(value, str) and not value):
        return None
    text = read_text(value, path, MEDIA_TYPE_CHARACTERS_AT_MOST)
    if not is_media_type(text):
        refuse(path, ManifestFault.MEDIA_TYPE, value=shown(text))
    return text


def _media_type(found: JsonObject, key: str, path: str) -> str | None:
    value = found.get(key)
    if isinstance(value, str) and is_media_type(value):
        return value
    return read_media_type(value, below(path, key))


def _digest(found: JsonObject, path: str) -> Digest:
    text = found.get("digest")
    if text is None:
        refuse(below(path, "digest"), ManifestFault.MISSING)
    if not isinstance(text, str):
        refuse(below(path, "digest"), ManifestFault.WRONG_TYPE, wanted="string")
    try:
        return Digest.parse(text)
    except DigestInvalid as error:
        is_algorithm = error.detail["reason"] == "algorithm"
        fault = ManifestFault.DIGEST_ALGORITHM if is_algorithm else ManifestFault.DIGEST_FORMAT
        refuse(below(path, "digest"), fault, value=shown(text))


def _size(found: JsonObject, path: str) -> int:
    size = found.get("size")
    if size is None:
        refuse(below(path, "size"), ManifestFault.MISSING)
    if not isinstance(size, int) or isinstance(size, bool):
        refuse(below(path, "size"), ManifestFault.WRONG_TYPE, wanted="integer")
    if not 0 <= size <= SIZE_AT_MOST:
        refuse(below(path, "size"), ManifestFault.SIZE)
    return size


def _urls(value: object, path: str) -> tuple[str, ...]:
    urls: list[str] = []
    for position, entry in enumerate(read_list(value, path, URLS_AT_MOST)):
        url = read_text(entry, below(path, position), URL_CHARACTERS_AT_MOST)
        if not _URI_CHARACTERS.fullmatch(url):
            refuse(below(path, position), ManifestFault.URL)
        urls.append(url)
    return tuple(urls)


def _data(value: object, digest: Digest, size: int, path: str) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str):
        refuse(path, ManifestFault.WRONG_TYPE, wanted="string")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        refuse(path, ManifestFault.DATA_ENCODING)
    if len(data) != size or Digest.of(data, digest.algorithm) != digest:
        refuse(path, ManifestFault.DATA_MISMATCH)
    return data


def _platform_text(found: JsonObject, key: str, path: str) -> str | None:
    value = found.get(key)
    return None if value is None else read_text(value, below(path, key), PLATFORM_CHARACTERS_AT_MOST)
