"""skopeo: log in, copy in and out, inspect, list, delete."""

import json
from pathlib import Path

import pytest

from clients.contract import ImageClientContract
from clients.image import Layout
from clients.logins import REFUSED
from clients.skopeo import PULL, PUSH, Skopeo
from harness.registry import LiveRegistry


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    """The skopeo command of someone who has not logged in anywhere."""
    return Skopeo(tmp_path / "skopeo")


@pytest.fixture
def skopeo_of_a_stranger(tmp_path: Path) -> Skopeo:
    """The skopeo command of someone else, who never logs in."""
    return Skopeo(tmp_path / "stranger")


class TestSkopeo(ImageClientContract):
    """What every client of images does."""

    says_why = False

    @pytest.fixture
    def client(self, skopeo: Skopeo) -> Skopeo:
        """Skopeo of someone who has not logged in anywhere."""
        return skopeo


@pytest.mark.parametrize("door", ["private_registry", "public_registry"])
def test_login_with_a_wrong_password_is_refused(request: pytest.FixtureRequest, skopeo: Skopeo, door: str) -> None:
    """`skopeo login` tells a wrong password from the right one, also where nobody needs one to pull."""
    registry: LiveRegistry = request.getfixturevalue(door)

    said = skopeo.log_in(registry, "not-the-password", expected_to_fail=True)

    assert "invalid username/password" in said
    assert "Login Succeeded" in skopeo.log_in(registry)


@pytest.mark.parametrize("kind", ["image", "multi_platform_image"])
def test_an_image_comes_back_as_it_was_pushed(
    request: pytest.FixtureRequest, skopeo: Skopeo, private_registry: LiveRegistry, tmp_path: Path, kind: str
) -> None:
    """Every blob of an image, and of an index with all its images, comes back byte by byte under its digest."""
    image: Layout = request.getfixturevalue(kind)
    reference = f"docker://{private_registry.address}/skopeo/{kind.replace('_', '-')}:1.0"
    skopeo.log_in(private_registry)

    skopeo("copy", *PUSH, image.reference(), reference)
    skopeo("copy", *PULL, reference, f"oci:{tmp_path / 'back'}:latest")

    described = json.loads(skopeo("inspect", "--tls-verify=false", reference))
    assert described["Digest"] == image.digest
    assert described["RepoTags"] == ["1.0"]
    assert Layout(tmp_path / "back", image.digest).blobs() == image.blobs()


def test_a_docker_schema_2_image_comes_back(
    skopeo: Skopeo, image: Layout, private_registry: LiveRegistry, tmp_path: Path
) -> None:
    """An image in Docker's own format keeps its format and its digest."""
    reference = f"docker://{private_registry.address}/skopeo/schema2:1.0"
    skopeo.log_in(private_registry)

    skopeo("copy", "--format", "v2s2", "--dest-tls-verify=false", image.reference(), reference)
    skopeo("copy", *PULL, reference, f"dir:{tmp_path / 'back'}")

    manifest = json.loads((tmp_path / "back" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert len(manifest["layers"]) == 4


def test_an_image_is_copied_within_the_registry(
    skopeo: Skopeo, image: Layout, private_registry: LiveRegistry, tmp_path: Path
) -> None:
    """A copy to another repository has the same digest and the same blobs."""
    source = f"docker://{private_registry.address}/skopeo/source:1.0"
    target = f"docker://{private_registry.address}/skopeo/target:1.0"
    skopeo.log_in(private_registry)
    skopeo("copy", *PUSH, image.reference(), source)

    skopeo("copy", *PUSH, "--src-tls-verify=false", source, target)
    skopeo("copy", *PULL, target, f"oci:{tmp_path / 'back'}:latest")

    assert Layout(tmp_path / "back", image.digest).blobs() == image.blobs()


def test_a_deleted_image_is_gone(skopeo: Skopeo, image: Layout, private_registry: LiveRegistry) -> None:
    """`skopeo delete` takes the image away by its digest, its tags with it."""
    reference = f"docker://{private_registry.address}/skopeo/deleted:1.0"
    skopeo.log_in(private_registry)
    skopeo("copy", *PUSH, image.reference(), reference)
    skopeo("copy", *PUSH, image.reference(), reference.replace(":1.0", ":1.1"))

    tags_before = json.loads(skopeo("list-tags", "--tls-verify=false", reference.removesuffix(":1.0")))["Tags"]
    skopeo("delete", "--tls-verify=false", reference)

    assert tags_before == ["1.0", "1.1"]
    assert "manifest unknown" in skopeo("inspect", "--tls-verify=false", reference, expected_to_fail=True)


def test_anonymous_pull_but_no_anonymous_push(
    skopeo: Skopeo, skopeo_of_a_stranger: Skopeo, image: Layout, public_registry: LiveRegistry, tmp_path: Path
) -> None:
    """With `--anonymous pull` everybody pulls, and only who is logged in pushes."""
    reference = f"docker://{public_registry.address}/skopeo/public:1.0"
    skopeo.log_in(public_registry)
    skopeo("copy", *PUSH, image.reference(), reference)

    skopeo_of_a_stranger("copy", *PULL, reference, f"oci:{tmp_path / 'back'}:latest")
    said = skopeo_of_a_stranger("copy", *PUSH, image.reference(), f"{reference}-mine", expected_to_fail=True)

    assert Layout(tmp_path / "back", image.digest).blobs() == image.blobs()
    assert REFUSED.search(said)


def test_no_anonymous_pull_where_it_is_off(
    skopeo: Skopeo, skopeo_of_a_stranger: Skopeo, image: Layout, private_registry: LiveRegistry, tmp_path: Path
) -> None:
    """With `--anonymous none` nobody pulls without logging in."""
    reference = f"docker://{private_registry.address}/skopeo/private:1.0"
    skopeo.log_in(private_registry)
    skopeo("copy", *PUSH, image.reference(), reference)

    said = skopeo_of_a_stranger("copy", *PULL, reference, f"oci:{tmp_path / 'back'}:latest", expected_to_fail=True)

    assert REFUSED.search(said)
