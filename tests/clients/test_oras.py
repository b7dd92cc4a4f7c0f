"""oras: artifacts, what refers to them, copies, deletion."""

import json
import secrets
from pathlib import Path

import pytest

from clients.image import Layout
from clients.logins import REFUSED, LoginContract
from clients.oras import HTTP, Oras
from clients.requests import SESSION, UPLOADS, Watch
from harness.registry import LiveRegistry

MEBIBYTE = 1024**2
ARTIFACT = "application/vnd.example.data.v1"
SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1"


@pytest.fixture
def oras(tmp_path: Path, private_registry: LiveRegistry) -> Oras:
    """The oras command of the admin, in a folder with a file."""
    oras = Oras(tmp_path / "oras")
    oras.log_in(private_registry)
    (oras.folder / "data.txt").write_text("some data", encoding="utf-8")
    (oras.folder / "sbom.json").write_text("{}", encoding="utf-8")
    return oras


class TestLogins(LoginContract):
    """Every way to log in."""

    @pytest.fixture
    def carrier(self, tmp_path: Path) -> Oras:
        """The oras command of someone who has not logged in anywhere."""
        return Oras(tmp_path / "nobodys-oras")


def push(oras: Oras, reference: str) -> str:
    """Push an artifact of one file, and return its digest."""
    said = oras("push", HTTP, "--format", "json", "--artifact-type", ARTIFACT, reference, "data.txt:text/plain")
    digest: str = json.loads(said)["digest"]
    return digest


def attach(oras: Oras, reference: str, artifact_type: str) -> str:
    """Attach an artifact to another, and return its digest."""
    options = [HTTP, "--format", "json", "--artifact-type", artifact_type]
    digest: str = json.loads(oras("attach", *options, reference, "sbom.json:application/json"))["digest"]
    return digest


def discover(oras: Oras, reference: str, *options: str) -> dict[str, list[str]]:
    """The artifact types that refer to an artifact, each with the types that refer to it in turn."""
    found = json.loads(oras("discover", HTTP, "--format", "json", *options, reference))
    return {
        referrer["artifactType"]: [deeper["artifactType"] for deeper in referrer.get("referrers") or []]
        for referrer in found["referrers"]
    }


def test_a_wrong_password_is_refused(oras: Oras, private_registry: LiveRegistry) -> None:
    """`oras login` tells a wrong password from the right one."""
    said = oras.log_in(private_registry, "not-the-password", expected_to_fail=True)

    assert REFUSED.search(said)
    assert "Login Succeeded" in oras.log_in(private_registry)


def test_files_come_back_byte_by_byte(oras: Oras, private_registry: LiveRegistry) -> None:
    """A file of 64 MiB and a small one come back as they were, under the artifact's type."""
    reference = f"{private_registry.address}/oras/files:1.0"
    noise = secrets.token_bytes(64 * MEBIBYTE)
    (oras.folder / "noise").write_bytes(noise)

    oras("push", HTTP, "--artifact-type", ARTIFACT, reference, "noise:application/octet-stream", "data.txt:text/plain")
    oras("pull", HTTP, "--output", "back", reference)

    assert (oras.folder / "back" / "noise").read_bytes() == noise
    assert (oras.folder / "back" / "data.txt").read_text(encoding="utf-8") == "some data"
    assert json.loads(oras("manifest", "fetch", HTTP, reference))["artifactType"] == ARTIFACT


def test_a_second_push_sends_no_blob(oras: Oras, private_registry: LiveRegistry) -> None:
    """What is there is found, and not sent again."""
    reference = f"{private_registry.address}/oras/again"
    push(oras, f"{reference}:1.0")
    watch = Watch(private_registry, "oras/again")

    push(oras, f"{reference}:2.0")

    assert not [seen for seen in watch.requests() if seen.route in {UPLOADS, SESSION}]
    assert oras("repo", "tags", HTTP, reference).split() == ["1.0", "2.0"]


def test_what_refers_to_an_artifact_is_discovered(oras: Oras, private_registry: LiveRegistry) -> None:
    """Attached artifacts are found, each with what is attached to it in turn, or those of one type."""
    reference = f"{private_registry.address}/oras/referrers:1.0"
    push(oras, reference)

    sbom = attach(oras, reference, SBOM)
    attach(oras, f"{reference.removesuffix(':1.0')}@{sbom}", SIGNATURE)
    attach(oras, reference, SIGNATURE)

    assert discover(oras, reference) == {SBOM: [SIGNATURE], SIGNATURE: []}
    assert discover(oras, reference, "--artifact-type", SBOM) == {SBOM: []}


def test_referrers_are_copied_with_their_artifact(oras: Oras, private_registry: LiveRegistry) -> None:
    """A recursive copy to another repository brings along what refers to it."""
    source, target = (f"{private_registry.address}/oras/copied-{end}:1.0" for end in ("from", "to"))
    push(oras, source)
    attach(oras, source, SBOM)

    oras("cp", "--recursive", "--from-plain-http", "--to-plain-http", source, target)

    assert discover(oras, target) == {SBOM: []}
    oras("pull", HTTP, "--output", "back", target)
    assert (oras.folder / "back" / "data.txt").read_text(encoding="utf-8") == "some data"


def test_a_multi_platform_image_comes_back(
    oras: Oras, multi_platform_image: Layout, private_registry: LiveRegistry, tmp_path: Path
) -> None:
    """An index with all its images comes back byte by byte."""
    reference = f"{private_registry.address}/oras/platforms:1.0"

    oras("cp", "--from-oci-layout", "--to-plain-http", f"{multi_platform_image.path}:latest", reference)
    oras("cp", "--from-plain-http", "--to-oci-layout", reference, f"{tmp_path / 'back'}:latest")

    assert Layout(tmp_path / "back", multi_platform_image.digest).blobs() == multi_platform_image.blobs()


def test_a_deleted_artifact_is_gone(oras: Oras, private_registry: LiveRegistry) -> None:
    """`oras manifest delete` takes the manifest away by its digest, all its tags with it; its blobs one by one."""
    repository = f"{private_registry.address}/oras/deleted"
    digest = push(oras, f"{repository}:1.0")
    push_again = oras("tag", HTTP, f"{repository}:1.0", "1.1")
    blob = json.loads(oras("manifest", "fetch", HTTP, f"{repository}:1.0"))["layers"][0]["digest"]

    oras("manifest", "delete", HTTP, "--force", f"{repository}:1.0")
    oras("blob", "delete", HTTP, "--force", f"{repository}@{blob}")

    assert "1.1" in push_again
    assert "not found" in oras("manifest", "fetch", HTTP, f"{repository}@{digest}", expected_to_fail=True)
    assert "not found" in oras("manifest", "fetch", HTTP, f"{repository}:1.1", expected_to_fail=True)
    assert "not found" in oras("blob", "fetch", HTTP, "--descriptor", f"{repository}@{blob}", expected_to_fail=True)
