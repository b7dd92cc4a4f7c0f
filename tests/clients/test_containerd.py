"""containerd's command `ctr`: push, pull, indexes, run."""

from pathlib import Path

import pytest

from clients.containerd import Ctr
from clients.contract import ImageClientContract
from clients.image import Layout
from clients.requests import BLOB, Watch
from harness.registry import LiveRegistry


@pytest.fixture
def ctr(containerd: Path) -> Ctr:
    """The command of someone who has no password."""
    return Ctr(containerd)


class TestContainerd(ImageClientContract):
    """What every client of images does."""

    says_why = False

    @pytest.fixture
    def client(self, ctr: Ctr) -> Ctr:
        """The command of someone who has no password."""
        return ctr


def test_a_multi_platform_image_comes_back(
    ctr: Ctr, multi_platform_image: Layout, private_registry: LiveRegistry
) -> None:
    """An index with all its images comes back byte by byte."""
    reference = f"{private_registry.address}/ctr/platforms:1.0"
    ctr.log_in(private_registry)
    archive = multi_platform_image.archive()
    ctr("images", "import", "--no-unpack", "--all-platforms", "--base-name", "loaded/platforms", archive)
    ctr("images", "push", *ctr.options(), reference, "loaded/platforms:latest")
    ctr.forget("loaded/platforms:latest")

    ctr("images", "pull", *ctr.options(), "--all-platforms", reference)
    pulled = {digest: ctr.content(digest) for digest in ctr("content", "ls", "--quiet").split()}
    ctr.forget(reference)

    assert {digest.removeprefix("sha256:"): content for digest, content in pulled.items()} == (
        multi_platform_image.blobs()
    )


def test_a_layer_of_another_repository_is_mounted(
    ctr: Ctr, small_image: Layout, private_registry: LiveRegistry
) -> None:
    """What was pulled from one repository is pushed to another without sending its layers."""
    source, target = (f"{private_registry.address}/ctr/{name}:1.0" for name in ("source", "target"))
    ctr.log_in(private_registry)
    pushed = ctr.push(small_image, source)
    ctr("images", "pull", *ctr.options(), source)
    watch = Watch(private_registry, "ctr/target")

    ctr("images", "push", *ctr.options(), target, source)
    ctr.forget(source)

    assert ctr.pull(target) == pushed
    watch.wait_for("GET", BLOB, 200, times=small_image.layer_count())
    sent = [seen.bytes_in for seen in watch.requests() if seen.method == "PUT" and "uploads" in seen.route]
    assert not sent
    assert len([seen for seen in watch.requests() if seen.method == "POST" and seen.status == 201]) >= 3
