"""Tags that say by their names to which manifest they belong: ``sha256-<hex>.sig``."""

from typing import Final

from entrepot.oci import Digest, Tag

SUFFIXES: Final = ("sig", "att", "sbom")
"""Signatures, attestations and bills of material, as signing tools name them."""


def digest_tags(digest: Digest) -> list[Tag]:
    """The tags that a manifest with this digest may have."""
    prefix = f"{digest.algorithm.value}-{digest.encoded}"
    # A tag has at most 128 characters, so a sha512 has none.
    return [Tag.parse(f"{prefix}.{suffix}") for suffix in SUFFIXES] if len(prefix) < 100 else []  # ruff: ignore[magic-value-comparison]
