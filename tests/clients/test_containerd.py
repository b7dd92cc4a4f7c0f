"""containerd's command `ctr`: push, pull, indexes, run."""

import sys
from pathlib import Path

import pytest

from clients.containerd import Ctr
from clients.contract import ImageClientContract
from clients.image import Layout
from clients.requests import BLOB, Watch
from harness.programs import run_program
from harness.registry import LiveRegistry, running_registry


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


def test_the_same_hosts_are_asked(ctr: Ctr, small_image: Layout, tmp_path: Path) -> None:
    """A registry that is found by containerd's hosts.toml alone is found there by our own client, too."""
    folder = tmp_path / "config" / "containerd" / "certs.d"
    with running_registry(tmp_path / "registry", "--anonymous", "push") as registry:
        ctr.push(small_image, f"{registry.address}/ctr/hosts:1.0")
        hosts = folder / "registry.example" / "hosts.toml"
        hosts.parent.mkdir(parents=True)
        mirror = f'[host."{registry.url}"]\ncapabilities = ["pull", "resolve"]\n'
        hosts.write_text(f'server = "https://registry.example"\n{mirror}', encoding="utf-8")
        name = "registry.example/ctr/hosts:1.0"
        ctr("images", "pull", "--hosts-dir", folder, name)
        ctr.forget(name)
        ours = run_program(
            [Path(sys.executable).with_name("entrepot"), "digest", name],
            environment={"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)},
        )
    assert ours.strip() == small_image.digest
