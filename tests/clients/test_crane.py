"""crane: push, pull, copy between repositories, indexes of several platforms, tags, deletion."""

import json
from pathlib import Path

import pytest

from clients.contract import ImageClientContract
from clients.crane import Crane
from clients.image import Layout
from clients.logins import REFUSED
from harness.programs import run_program
from harness.registry import LiveRegistry


@pytest.fixture
def crane(tmp_path: Path) -> Crane:
    """The crane command of someone who has not logged in anywhere."""
    return Crane(tmp_path / "crane-config")


@pytest.fixture
def crane_of_a_stranger(tmp_path: Path) -> Crane:
    """The crane command of someone else, who never logs in."""
    return Crane(tmp_path / "stranger-config")


class TestCrane(ImageClientContract):
    """What every client of images does."""

    @pytest.fixture
    def client(self, crane: Crane) -> Crane:
        """Crane of someone who has not logged in anywhere."""
        return crane


@pytest.mark.parametrize("door", ["private_registry", "public_registry"])
def test_a_wrong_password_is_refused(request: pytest.FixtureRequest, crane: Crane, image: Layout, door: str) -> None:
    """A wrong password opens nothing, also not what everybody may pull."""
    registry: LiveRegistry = request.getfixturevalue(door)
    reference = f"{registry.address}/crane/wrong-password:1.0"
    crane.log_in(registry)
    crane("push", image.path, reference)
    crane.log_in(registry, "not-the-password", expected_to_fail=True)

    assert REFUSED.search(crane("digest", reference, expected_to_fail=True))
    assert REFUSED.search(crane("push", image.path, reference, expected_to_fail=True))


@pytest.mark.parametrize("kind", ["image", "multi_platform_image"])
def test_an_image_comes_back_as_it_was_pushed(
    request: pytest.FixtureRequest, crane: Crane, private_registry: LiveRegistry, tmp_path: Path, kind: str
) -> None:
    """Every blob of an image, and of an index with all its images, comes back byte by byte under its digest."""
    image: Layout = request.getfixturevalue(kind)
    reference = f"{private_registry.address}/crane/{kind.replace('_', '-')}:1.0"
    crane.log_in(private_registry)

    pushed = crane("push", image.path, reference)
    crane("pull", "--format", "oci", reference, tmp_path / "back")

    assert pushed == f"{reference.removesuffix(':1.0')}@{image.digest}"
    assert crane("digest", reference) == image.digest
    assert Layout(tmp_path / "back", image.digest).blobs() == image.blobs()


def test_an_image_is_valid_and_exports_its_files(
    crane: Crane, image: Layout, private_registry: LiveRegistry, tmp_path: Path
) -> None:
    """Crane reads every layer of the image in the registry and finds its files."""
    reference = f"{private_registry.address}/crane/valid:1.0"
    crane.log_in(private_registry)
    crane("push", image.path, reference)

    crane("validate", "--remote", reference)
    crane("export", reference, tmp_path / "files.tar")

    files = run_program(["tar", "--list", "--file", tmp_path / "files.tar"])
    assert "usr/share/zoneinfo/Europe/Berlin" in files
    assert "bin/busybox" in files


def test_a_platform_of_an_index_is_pulled_alone(
    crane: Crane, multi_platform_image: Layout, private_registry: LiveRegistry
) -> None:
    """Through an index comes the image for the platform that is asked for."""
    reference = f"{private_registry.address}/crane/platforms:1.0"
    crane.log_in(private_registry)
    crane("push", multi_platform_image.path, reference)

    architectures = {
        architecture: json.loads(crane("config", "--platform", f"linux/{architecture}", reference))["architecture"]
        for architecture in ("amd64", "arm64")
    }

    assert architectures == {"amd64": "amd64", "arm64": "arm64"}


def test_an_image_is_copied_to_another_repository(
    crane: Crane, image: Layout, private_registry: LiveRegistry, tmp_path: Path
) -> None:
    """A copy is mounted, not sent again, and has the same digest and the same blobs."""
    source = f"{private_registry.address}/crane/source:1.0"
    target = f"{private_registry.address}/crane/target:1.0"
    crane.log_in(private_registry)
    crane("push", image.path, source)

    crane("copy", source, target)
    crane("pull", "--format", "oci", target, tmp_path / "back")

    assert Layout(tmp_path / "back", image.digest).blobs() == image.blobs()


def test_tags_are_set_and_listed(crane: Crane, image: Layout, private_registry: LiveRegistry) -> None:
    """Tags come in the order of their bytes, and repositories likewise in the catalog."""
    repository = f"{private_registry.address}/crane/tags"
    crane.log_in(private_registry)
    crane("push", image.path, f"{repository}:b")

    crane("tag", f"{repository}:b", "a")
    crane("tag", f"{repository}:b", "C")

    assert crane("ls", repository).split() == ["C", "a", "b"]
    catalog = crane("catalog", private_registry.address).split()
    assert "crane/tags" in catalog
    assert catalog == sorted(catalog)


def test_deleting_a_tag_leaves_the_manifest(crane: Crane, image: Layout, private_registry: LiveRegistry) -> None:
    """A deleted tag is gone, its manifest is there until its digest is deleted."""
    repository = f"{private_registry.address}/crane/deleted"
    crane.log_in(private_registry)
    crane("push", image.path, f"{repository}:1.0")
    crane("tag", f"{repository}:1.0", "2.0")

    crane("delete", f"{repository}:1.0")
    tags_left = crane("ls", repository)
    digest_left = crane("digest", f"{repository}@{image.digest}")
    crane("delete", f"{repository}@{image.digest}")

    assert tags_left == "2.0"
    assert digest_left == image.digest
    assert "MANIFEST_UNKNOWN" in crane("manifest", f"{repository}@{image.digest}", expected_to_fail=True)
    assert "MANIFEST_UNKNOWN" in crane("manifest", f"{repository}:2.0", expected_to_fail=True)


def test_anonymous_pull_but_no_anonymous_push(
    crane: Crane, crane_of_a_stranger: Crane, image: Layout, public_registry: LiveRegistry, tmp_path: Path
) -> None:
    """With `--anonymous pull` everybody pulls, and only who is logged in pushes."""
    repository = f"{public_registry.address}/crane/public"
    crane.log_in(public_registry)
    crane("push", image.path, f"{repository}:1.0")

    crane_of_a_stranger("pull", "--format", "oci", f"{repository}:1.0", tmp_path / "back")
    said = crane_of_a_stranger("push", image.path, f"{repository}:2.0", expected_to_fail=True)

    assert Layout(tmp_path / "back", image.digest).blobs() == image.blobs()
    assert REFUSED.search(said)
    assert crane("ls", repository) == "1.0"


def test_no_anonymous_pull_where_it_is_off(
    crane: Crane, crane_of_a_stranger: Crane, image: Layout, private_registry: LiveRegistry
) -> None:
    """With `--anonymous none` nobody pulls without logging in."""
    reference = f"{private_registry.address}/crane/private:1.0"
    crane.log_in(private_registry)
    crane("push", image.path, reference)

    said = crane_of_a_stranger("manifest", reference, expected_to_fail=True)

    assert REFUSED.search(said)
