"""A real image as an OCI layout: its root filesystem is made from Debian packages, one layer each."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harness.programs import find_program, run_program, tools_folder

# In the order of the layers; `make tools` fetches them (tools/tools.toml).
PACKAGES = ("base-files", "busybox-static", "libc6", "tzdata")

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

# The tests move bytes; how small they are matters less than how soon they are there.
FAST = 1

UNPACK_SECONDS_AT_MOST = 60


@dataclass(frozen=True)
class Layout:
    """An OCI image layout (image spec, image-layout.md) with one manifest or index in it."""

    path: Path
    digest: str

    def blobs(self) -> dict[str, bytes]:
        """The content of every blob, by the name of its file."""
        return {blob.name: blob.read_bytes() for blob in (self.path / "blobs" / "sha256").iterdir()}

    def config(self) -> str:
        """The digest of the config of the image."""
        digest: str = self._manifest()["config"]["digest"]
        return digest

    def layer_count(self) -> int:
        """How many layers the image has."""
        return len(self._manifest()["layers"])

    def archive(self) -> Path:
        """The layout as a tar archive beside it, made once."""
        return self._beside("oci.tar", ["tar", "--create", "--directory", self.path, "--file", "TARGET", "."])

    def docker_archive(self) -> Path:
        """The image in the form that `docker load` reads, beside it, made once; its name ends in ``:loaded``."""
        target = f"docker-archive:TARGET:{self.path.name}:loaded"
        command: list[str | Path] = [find_program("skopeo"), "--insecure-policy", "copy", "--quiet"]
        command += [self.reference(), target]
        return self._beside("docker.tar", command)

    def _manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(
            (self.path / "blobs" / "sha256" / self.digest.removeprefix("sha256:")).read_bytes()
        )
        return manifest

    def _beside(self, suffix: str, command: list[str | Path]) -> Path:
        """A file made of the layout by a command that names it TARGET."""
        made = self.path.with_name(f"{self.path.name}.{suffix}")
        if not made.exists():
            run_program([str(part).replace("TARGET", str(made)) for part in command])
        return made

    def reference(self) -> str:
        """How skopeo names the image in this layout."""
        return f"oci:{self.path}:latest"


def root_filesystem_layers() -> dict[str, bytes]:
    """The files of each package as a tar archive."""
    dpkg_deb = find_program("dpkg-deb")
    layers = {}
    for package in PACKAGES:
        archives = sorted((tools_folder() / "debian").glob(f"{package}_*.deb"))
        if not archives:
            pytest.fail(f"the Debian package {package!r} is missing: run `make tools`", pytrace=False)
        unpacked = subprocess.run(
            [dpkg_deb, "--fsys-tarfile", archives[-1]], capture_output=True, timeout=UNPACK_SECONDS_AT_MOST, check=True
        )
        layers[package] = unpacked.stdout
    return layers


def noise_layers(count: int, size: int) -> dict[str, bytes]:
    """Archives of one file each, in which nothing repeats; the same bytes every time."""
    made = {}
    for number in range(count):
        content = Random(number).randbytes(size)  # ruff: ignore[suspicious-non-cryptographic-random-usage]  noise
        made[f"noise-{number}"] = _archive_of(f"noise-{number}", content)
    return made


def _archive_of(name: str, content: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        writer.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def write_image(layout: Path, layers: dict[str, bytes], architecture: str = "amd64") -> Layout:
    """Write an image of these layers, the same bytes every time."""
    archives = list(layers.values())
    descriptors = [_write_blob(layout, LAYER, gzip.compress(archive, FAST, mtime=0)) for archive in archives]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/busybox", "sh"], "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(archive) for archive in archives]},
        "history": [{"created_by": f"the files of {package}"} for package in layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _write_blob(layout, CONFIG, _encode(config)),
        "layers": descriptors,
    }
    return _write_index(layout, _write_blob(layout, MANIFEST, _encode(manifest)))


def write_multi_platform_image(layout: Path, layers: dict[str, bytes], architectures: tuple[str, ...]) -> Layout:
    """Write an index over one image for each architecture; they share their layers and differ in their configs."""
    manifests = []
    for architecture in architectures:
        image = write_image(layout, layers, architecture)
        size = len(image.blobs()[image.digest.removeprefix("sha256:")])
        platform = {"architecture": architecture, "os": "linux"}
        manifests.append({"mediaType": MANIFEST, "digest": image.digest, "size": size, "platform": platform})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return _write_index(layout, _write_blob(layout, INDEX, _encode(index)))


def _write_index(layout: Path, descriptor: dict[str, Any]) -> Layout:
    """Name the layout's one entry point, tagged ``latest``."""
    entry = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    (layout / "index.json").write_bytes(_encode(index))
    (layout / "oci-layout").write_bytes(_encode({"imageLayoutVersion": "1.0.0"}))
    return Layout(layout, descriptor["digest"])


def _write_blob(layout: Path, media_type: str, content: bytes) -> dict[str, Any]:
    """Write a blob and return its descriptor."""
    digest = _digest(content)
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / digest.removeprefix("sha256:")).write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
