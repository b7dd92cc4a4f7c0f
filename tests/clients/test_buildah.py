"""buildah: build from scratch, commit, push in both formats."""

import json
from pathlib import Path

import pytest

from clients.contract import ImageClientContract
from clients.podman import HTTP, Podman
from clients.sandbox import Sandbox
from harness.registry import LiveRegistry

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def buildah(sandbox: Sandbox, tmp_path: Path) -> Podman:
    """The buildah command of someone who has not logged in anywhere."""
    return Podman(sandbox, tmp_path / "buildah", "buildah")


class TestBuildah(ImageClientContract):
    """What every client of images does."""

    says_why = False

    @pytest.fixture
    def client(self, buildah: Podman) -> Podman:
        """The command of someone who has not logged in anywhere."""
        return buildah


@pytest.mark.parametrize(("written", "media_type"), [("oci", OCI_MANIFEST), ("docker", DOCKER_MANIFEST)])
def test_what_was_built_comes_back_in_its_format(
    buildah: Podman, private_registry: LiveRegistry, tmp_path: Path, written: str, media_type: str
) -> None:
    """An image that buildah made comes back with its file, as an OCI image or in Docker's own format."""
    reference = f"{private_registry.address}/buildah/built-{written}:1.0"
    (tmp_path / "made-here").write_text(written, encoding="utf-8")
    buildah.log_in(private_registry)
    container = buildah("from", "scratch").strip()
    buildah("copy", container, tmp_path / "made-here", "/made-here")
    image = buildah("commit", "--rm", "--quiet", container).strip()

    buildah("push", HTTP, "--format", written, image, f"docker://{reference}")
    buildah.forget(image)
    pulled = buildah("from", "--quiet", HTTP, reference).strip()
    folder = Path(buildah("mount", pulled).strip())
    said = buildah.sandbox.run("cat", folder / "made-here")
    described = json.loads(buildah("inspect", pulled))
    buildah("rm", pulled)
    buildah.forget(reference)

    assert said == written
    assert json.loads(described["Manifest"])["mediaType"] == media_type
