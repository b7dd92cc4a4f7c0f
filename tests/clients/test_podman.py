"""podman: log in, push, pull, run, indexes of several images."""

from pathlib import Path

import httpx
import pytest

from clients.contract import ImageClientContract
from clients.image import INDEX, Layout
from clients.logins import REFUSED
from clients.podman import HTTP, Podman
from clients.sandbox import Sandbox
from harness.registry import LiveRegistry

# runc starts here where crun does not, and both want limits that they may set.
RUN = ("--rm", "--runtime", "runc", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@pytest.fixture
def podman(sandbox: Sandbox, tmp_path: Path) -> Podman:
    """The podman command of someone who has not logged in anywhere."""
    return Podman(sandbox, tmp_path / "podman")


class TestPodman(ImageClientContract):
    """What every client of images does."""

    says_why = False

    @pytest.fixture
    def client(self, podman: Podman) -> Podman:
        """The command of someone who has not logged in anywhere."""
        return podman


def test_a_pulled_image_runs(podman: Podman, image: Layout, private_registry: LiveRegistry) -> None:
    """The root filesystem that was pulled is the one that was pushed."""
    reference = f"{private_registry.address}/podman/run:1.0"
    podman.log_in(private_registry)
    podman.push(image, reference)
    question = "test -s /usr/share/zoneinfo/Europe/Berlin && test -s /etc/debian_version && id -u"

    podman("pull", HTTP, reference)
    said = podman("run", *RUN, reference, "/bin/busybox", "sh", "-c", f"busybox --install -s /bin; {question}")
    podman.forget(reference)

    assert said.split() == ["0"]


@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_an_index_is_made_of_what_was_pushed(
    sandbox: Sandbox,
    tmp_path: Path,
    small_image: Layout,
    private_registry: LiveRegistry,
    admin: httpx.Client,
    program: str,
) -> None:
    """`manifest create`, `add` and `push` make an index of an OCI image and one in Docker's own format."""
    client = Podman(sandbox, tmp_path / program, program)
    repository = f"{private_registry.address}/{program}/index"
    client.log_in(private_registry)
    images = [client.push(small_image, f"{repository}:{tag}", "--format", tag) for tag in ("oci", "docker")]

    client("manifest", "create", "made-here")
    try:
        for tag in ("oci", "docker"):
            client("manifest", "add", HTTP, "made-here", f"docker://{repository}:{tag}")
        client("manifest", "push", HTTP, "--all", "made-here", f"docker://{repository}:1.0")
    finally:
        client("rmi", "made-here")

    index = admin.get(f"/v2/{program}/index/manifests/1.0", headers={"Accept": INDEX}).json()
    assert index["mediaType"] == INDEX
    assert [child["digest"] for child in index["manifests"]] == [image.digest for image in images]


def test_anonymous_pull_but_no_anonymous_push(
    podman: Podman, sandbox: Sandbox, tmp_path: Path, small_image: Layout, public_registry: LiveRegistry
) -> None:
    """With `--anonymous pull` everybody pulls, and only who is logged in pushes."""
    reference = f"{public_registry.address}/podman/public:1.0"
    stranger = Podman(sandbox, tmp_path / "stranger")
    podman.log_in(public_registry)
    pushed = podman.push(small_image, reference)

    assert stranger.pull(reference) == pushed
    image = stranger.load(small_image)
    said = stranger("push", HTTP, image, f"docker://{reference}-mine", expected_to_fail=True)
    stranger.forget(image)

    assert REFUSED.search(said)
