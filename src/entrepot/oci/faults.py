"""What can be wrong with a manifest, as stable tokens (``detail.reason`` of MANIFEST_INVALID)."""

import json
import re
from enum import StrEnum
from typing import NoReturn

from entrepot.oci.errors import ManifestInvalid

_SHOWN = 160  # characters of the offending text that are shown back
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class ManifestFault(StrEnum):
    """The reasons for which a manifest is refused; programs may rely on the values."""

    NOT_UTF8 = "not-utf8"
    """The bytes are not UTF-8, or start with a byte order mark."""
    NOT_JSON = "not-json"
    """The text is not JSON (RFC 8259); ``offset`` is the character where reading failed."""
    TOO_DEEP = "too-deep"
    """Objects and arrays are nested deeper than ``at_most``."""
    TOO_MANY = "too-many"
    """A list or map has more than ``at_most`` entries, or the document more values."""
    TOO_LONG = "too-long"
    """A text has more than ``at_most`` characters."""
    DUPLICATE_KEY = "duplicate-key"
    """An object has ``key`` twice, so readers may disagree about it."""
    KEY_SPELLING = "key-spelling"
    """An object has ``key``, which readers that ignore case take for ``meant``."""
    WRONG_TYPE = "wrong-type"
    """The value is of another JSON type than ``wanted``."""
    MISSING = "missing"
    """The property is required."""
    TEXT = "text"
    """The text has a lone surrogate or a NUL, which cannot be stored or sent on."""
    SCHEMA_VERSION = "schema-version"
    """``schemaVersion`` is not 2."""
    CONTENT_TYPE = "content-type"
    """The ``Content-Type`` header is no media type."""
    MEDIA_TYPE = "media-type"
    """The value is no media type (RFC 6838)."""
    MEDIA_TYPE_MISSING = "media-type-missing"
    """Neither header nor body names the type, and the body has no ``manifests``, ``config`` or ``layers``."""
    MEDIA_TYPE_MISMATCH = "media-type-mismatch"
    """``mediaType`` is not what the ``Content-Type`` header says."""
    MEDIA_TYPE_UNSUPPORTED = "media-type-unsupported"
    """Manifests of this type are not known here."""
    DOCKER_SCHEMA1 = "docker-schema1"
    """Docker's schema 1 is not taken any more."""
    ARTIFACT_MANIFEST = "artifact-manifest"
    """The artifact manifest was removed before image spec 1.1."""
    AMBIGUOUS = "ambiguous"
    """The document can be read as an image manifest and as an index (CVE-2021-41190)."""
    DIGEST_FORMAT = "digest-format"
    """The value is no digest."""
    DIGEST_ALGORITHM = "digest-algorithm"
    """The digest's algorithm is not supported."""
    SIZE = "size"
    """The size is negative or beyond 2^63 - 1."""
    URL = "url"
    """The value is no URI (RFC 3986)."""
    DATA_ENCODING = "data-encoding"
    """``data`` is not base64 (RFC 4648 section 4)."""
    DATA_MISMATCH = "data-mismatch"
    """``data`` is not the content that ``digest`` and ``size`` describe."""


def refuse(path: str, fault: ManifestFault, **more: str | int) -> NoReturn:
    """Raise ManifestInvalid for what stands at ``path``."""
    raise ManifestInvalid(path=path, reason=fault.value, **more)


def shown(text: str) -> str:
    """A bounded, printable form of a text from outside, to stand in an error's detail."""
    return json.dumps(text[:_SHOWN])[1:-1]


def below(path: str, key: str | int) -> str:
    """The JSON path of a property or an entry of what stands at ``path``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{json.dumps(key[:_SHOWN])}]"
