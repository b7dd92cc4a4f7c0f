"""A layer of more than 2 GiB, which no count of 32 bits holds."""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO

import pytest

from clients.crane import Crane
from clients.image import CONFIG, INDEX, MANIFEST, Layout
from clients.skopeo import PULL, PUSH, Skopeo
from harness.protocol import descriptor
from harness.registry import LiveRegistry, running_registry

MEBIBYTE = 1024**2
SIZE = 2048 * MEBIBYTE + 1
MARK_EVERY = 256 * MEBIBYTE
UNCOMPRESSED_LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture(scope="module")
def folder() -> Generator[Path, None, None]:
    """A folder that is gone afterwards; pytest keeps its own for a while, and this one holds gigabytes."""
    with tempfile.TemporaryDirectory(prefix="entrepot-huge-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def registry(folder: Path) -> Generator[LiveRegistry, None, None]:
    """A registry whose data lies there."""
    with running_registry(folder / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def huge_image(folder: Path) -> Layout:
    """An image of one layer, mostly a hole in a file, with marks so that no two parts of it are alike."""
    path = folder / "image"
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with (blobs / "layer").open("wb") as layer:
        for place in range(0, SIZE, MARK_EVERY):
            layer.seek(place)
            layer.write(str(place).encode())
        layer.truncate(SIZE)
    with (blobs / "layer").open("rb") as content:
        digest = digest_of_file(content)
    (blobs / "layer").rename(blobs / digest.removeprefix("sha256:"))
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}
    layers = [{"mediaType": UNCOMPRESSED_LAYER, "digest": digest, "size": SIZE}]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers}
    manifest["config"] = write_blob(blobs, CONFIG, json.dumps(config).encode())
    entry = write_blob(blobs, MANIFEST, json.dumps(manifest).encode())
    named = {**entry, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
    (path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return Layout(path, str(entry["digest"]))


def write_blob(blobs: Path, media_type: str, content: bytes) -> dict[str, object]:
    """Write a blob and return its descriptor."""
    described = descriptor(content, media_type)
    (blobs / described["digest"].removeprefix("sha256:")).write_bytes(content)
    return described


def digest_of_file(content: IO[bytes]) -> str:
    """The digest of what can be read from it."""
    hashed = hashlib.sha256()
    while chunk := content.read(MEBIBYTE):
        hashed.update(chunk)
    return f"sha256:{hashed.hexdigest()}"


def layer_of(image: Layout) -> str:
    """The digest of the layer of an image of one."""
    manifest = json.loads((image.path / "blobs" / "sha256" / image.digest.removeprefix("sha256:")).read_bytes())
    digest: str = manifest["layers"][0]["digest"]
    return digest


def test_crane_pushes_and_skopeo_pulls(registry: LiveRegistry, huge_image: Layout, folder: Path) -> None:
    """The layer comes out byte by byte as it went in."""
    reference = f"{registry.address}/huge/crane:1.0"
    crane, skopeo = Crane(folder / "crane"), Skopeo(folder / "skopeo")
    crane.log_in(registry)
    skopeo.log_in(registry)

    pushed = crane.push(huge_image, reference)
    skopeo("copy", *PULL, f"docker://{reference}", f"dir:{folder / 'back'}")

    assert pushed.digest == huge_image.digest
    with (folder / "back" / layer_of(huge_image).removeprefix("sha256:")).open("rb") as layer:
        assert digest_of_file(layer) == layer_of(huge_image)


def test_skopeo_pushes_and_crane_pulls(registry: LiveRegistry, huge_image: Layout, folder: Path) -> None:
    """And the other way round."""
    repository = f"{registry.address}/huge/skopeo"
    crane, skopeo = Crane(folder / "crane-2"), Skopeo(folder / "skopeo-2")
    crane.log_in(registry)
    skopeo.log_in(registry)

    skopeo("copy", *PUSH, huge_image.reference(), f"docker://{repository}:1.0")
    line = crane.line("blob", f"{repository}@{layer_of(huge_image)}")
    with subprocess.Popen(line, env={**os.environ, **crane.environment()}, stdout=subprocess.PIPE) as pulling:
        assert pulling.stdout is not None
        digest = digest_of_file(pulling.stdout)

    assert pulling.returncode == 0
    assert digest == layer_of(huge_image)
    assert crane("digest", f"{repository}:1.0") == huge_image.digest
