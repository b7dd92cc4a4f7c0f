"""Images as OCI layouts, made from a seed."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any, Final

from bench.sizes import MIB

TAG: Final = "v1"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_GZIP: Final = b"\x1f\x8b\x08"


def make_layout(folder: Path, seed: int, layers: int, layer_mib: int) -> str:
    """Write an image of noise with so many layers, tagged ``v1``, and return its digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    noise = random.Random(seed).randbytes(MIB - 8)
    descriptors = [_layer(blobs, noise, seed * 1000 + number, layer_mib) for number in range(layers)]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in descriptors]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": _document(blobs, config, _CONFIG_TYPE),
        "layers": descriptors,
    }
    named = _document(blobs, manifest, _MANIFEST_TYPE)
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [named | {"annotations": _named(TAG)}]}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
    return str(named["digest"])


def digests_of(folder: Path) -> set[str]:
    """The manifests that a layout's index names, whose blobs are all there with the right digests."""
    found = set()
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"]:
        manifest = json.loads(_checked(folder, entry["digest"]).read_text(encoding="utf-8"))
        for blob in (manifest["config"], *manifest["layers"]):
            _checked(folder, blob["digest"])
        found.add(entry["digest"])
    return found


def _layer(blobs: Path, noise: bytes, number: int, mebibytes: int) -> dict[str, Any]:
    """A layer of mebibytes of noise, each beginning as gzip does: skopeo compresses others."""
    hashing = hashlib.sha256()
    partial = blobs / "layer"
    with partial.open("wb") as file:
        for piece in range(mebibytes):
            for part in (_GZIP, (number * 10**6 + piece).to_bytes(5, "big"), noise):
                hashing.update(part)
                file.write(part)
    partial.rename(blobs / hashing.hexdigest())
    return {"mediaType": _LAYER_TYPE, "digest": f"sha256:{hashing.hexdigest()}", "size": mebibytes * MIB}


def _document(blobs: Path, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    content = json.dumps(document).encode()
    encoded = hashlib.sha256(content).hexdigest()
    (blobs / encoded).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}


def _named(tag: str) -> dict[str, str]:
    return {"org.opencontainers.image.ref.name": tag}


def _checked(folder: Path, digest: str) -> Path:
    path = folder / "blobs" / digest.replace(":", "/")
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest.partition(":")[2], f"{path} is damaged"
    return path
