"""What a registry has acknowledged, and what of it must therefore be there."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.protocol import digest_of

_MANIFEST_TYPES = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"},
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest or index as it was pushed, and the digests that it names."""

    digest: str
    media_type: str
    content: bytes
    blobs: frozenset[str]
    children: frozenset[str]
    subject: str | None


def read_pushed(content: bytes) -> Pushed:
    """Read a manifest's names out of its bytes."""
    document: dict[str, Any] = json.loads(content)
    entries = document.get("manifests", [])
    config = [document["config"]] if "config" in document else []
    layers = [*config, *document.get("layers", []), *(entry for entry in entries if not _is_manifest(entry))]
    subject = document.get("subject")
    return Pushed(
        digest=digest_of(content),
        media_type=document["mediaType"],
        content=content,
        blobs=frozenset(layer["digest"] for layer in layers),
        children=frozenset(entry["digest"] for entry in entries if _is_manifest(entry)),
        subject=None if subject is None else subject["digest"],
    )


def held(tagged: Iterable[str], manifests: Mapping[str, Pushed]) -> set[str]:
    """The manifests that tags keep: those they stand on, and from each its children, its subject and its referrers."""
    kept: set[str] = set()
    to_follow = [digest for digest in tagged if digest in manifests]
    while to_follow:
        digest = to_follow.pop()
        if digest not in kept:
            kept.add(digest)
            to_follow += [other for other in _holds(digest, manifests) if other in manifests]
    return kept


def blobs_of(manifests: Iterable[Pushed]) -> set[str]:
    """Every blob that one of the manifests names."""
    return {digest for manifest in manifests for digest in manifest.blobs}


@dataclass(slots=True)
class Ledger:
    """What one repository has acknowledged to the one client that changes it."""

    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, Pushed] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def forget_unneeded(self) -> None:
        """Drop what no tag keeps: from here on it may go, and coming back is not expected of it."""
        kept = held(self.tags.values(), self.manifests)
        self.manifests = {digest: self.manifests[digest] for digest in self.manifests if digest in kept}
        named = blobs_of(self.manifests.values())
        self.blobs = {digest: self.blobs[digest] for digest in self.blobs if digest in named}


def _holds(digest: str, manifests: Mapping[str, Pushed]) -> Iterator[str]:
    found = manifests[digest]
    yield from found.children
    if found.subject is not None:
        yield found.subject
    yield from (other.digest for other in manifests.values() if other.subject == digest)


def _is_manifest(entry: Mapping[str, Any]) -> bool:
    return entry["mediaType"] in _MANIFEST_TYPES
