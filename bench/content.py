"""What is pushed: made from a seed, so that every process and both registries know the same bytes."""

import hashlib
import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Final

from bench.sizes import MIB

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
EMPTY: Final = b"{}"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_LAYERS: Final = 6
_LAYER_BYTES: Final = 4096


def digest_of(content: bytes) -> str:
    """The sha256 digest as text."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@cache
def layers(seed: int) -> tuple[bytes, ...]:
    """The layers of the image that manifests name."""
    source = random.Random(seed)
    return tuple(source.randbytes(_LAYER_BYTES) for _ in range(_LAYERS))


def manifest(seed: int, number: int) -> bytes:
    """An image manifest of some 1.5 kB; each ``number`` makes another over the same layers."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
            "layers": [_descriptor(layer, _LAYER_TYPE) for layer in layers(seed)],
            "annotations": {"org.opencontainers.image.version": str(number)},
        },
        indent=3,
    ).encode()


def _descriptor(content: bytes, media_type: str) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


class LargeBlob:
    """A blob that is streamed: one mebibyte of noise over and over, each with its number in front."""

    def __init__(self, seed: int, length: int) -> None:
        """``length`` in bytes, whole mebibytes."""
        self.length = length
        self._rest = random.Random(seed).randbytes(MIB - 8)

    def pieces(self) -> Iterator[bytes]:
        """Its bytes in order."""
        for number in range(self.length // MIB):
            yield number.to_bytes(8, "big")
            yield self._rest

    def digest(self) -> str:
        """Its digest, computed anew."""
        hashing = hashlib.sha256()
        for piece in self.pieces():
            hashing.update(piece)
        return f"sha256:{hashing.hexdigest()}"


class SmallBlobs:
    """Blobs of a mebibyte, each another in its first bytes."""

    def __init__(self, seed: int) -> None:
        self._rest = random.Random(seed).randbytes(MIB - 8)

    def parts(self, number: int) -> tuple[bytes, bytes]:
        """One blob in two parts, of which the second is shared."""
        return number.to_bytes(8, "big"), self._rest
