"""Listing referrers: the response's index, and the tags in its stead (distribution spec, "Listing Referrers")."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Algorithm, Digest
from entrepot.oci.media_types import OCI_IMAGE_INDEX
from entrepot.oci.names import Tag

_HEAD = f'{{"schemaVersion":2,"mediaType":"{OCI_IMAGE_INDEX}","manifests":['.encode()
_TAIL = b"]}"
_TAG_ENCODED_CHARACTERS = 64  # "Truncated Encoded"
_TAG = re.compile(rf"({'|'.join(Algorithm)})-([0-9a-f]{{{_TAG_ENCODED_CHARACTERS}}})")


@dataclass(frozen=True, slots=True)
class ReferrersPage:
    """One page of referrers, encoded."""

    content: bytes
    """An image index in JSON."""
    count: int
    """How many of the descriptors are in it, from the first."""
    more: bool
    """Whether descriptors are left over for a next page."""


def referrers_page(referrers: Iterable[Descriptor], bytes_at_most: int) -> ReferrersPage:
    """Encode as many descriptors of referrers as fit, in order.

    Each has the referrer's media type, digest and size, its effective artifact type and its manifest's annotations. The
    first one is always in, even if it alone is longer than ``bytes_at_most``; what is after the first that does not fit
    is not read.
    """
    encoded: list[bytes] = []
    length = len(_HEAD) + len(_TAIL)
    more = False
    for referrer in referrers:
        entry = json.dumps(referrer.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
        length += len(entry) + (1 if encoded else 0)
        if encoded and length > bytes_at_most:
            more = True
            break
        encoded.append(entry)
    return ReferrersPage(_HEAD + b",".join(encoded) + _TAIL, len(encoded), more)


@dataclass(frozen=True, slots=True)
class ReferrersTag:
    """The subject of a tag of the referrers tag schema, as far as the tag tells it."""

    algorithm: Algorithm
    encoded: str
    """The first 64 characters of the subject's hex: all of a sha256, half of a sha512."""

    @classmethod
    def of(cls, subject: Digest) -> Self:
        """The tag's parts for a subject."""
        return cls(subject.algorithm, subject.encoded[:_TAG_ENCODED_CHARACTERS])

    @classmethod
    def parse(cls, tag: Tag) -> Self | None:
        """Read ``sha256-<hex>`` or ``sha512-<hex>``; None for every other tag (signature tags have a suffix)."""
        match = _TAG.fullmatch(tag.text)
        return None if match is None else cls(Algorithm(match[1]), match[2])

    @property
    def subject(self) -> Digest | None:
        """The digest, where the tag has all of it."""
        is_whole = len(self.encoded) == self.algorithm.hex_characters
        return Digest(self.algorithm, self.encoded) if is_whole else None

    @property
    def tag(self) -> Tag:
        """The tag under which a client without the referrers API keeps the list."""
        return Tag(f"{self.algorithm.value}-{self.encoded}")

    def names(self, digest: Digest) -> bool:
        """Whether this is the tag for the referrers of ``digest``."""
        return digest.algorithm is self.algorithm and digest.encoded.startswith(self.encoded)
