"""What the tests of clients share: the image they push, registries with each kind of door, an account's folder."""

from collections.abc import Generator
from pathlib import Path

import pytest

from clients.engine import Docker, running_dockerd
from clients.image import Layout, root_filesystem_layers, write_image, write_multi_platform_image
from harness.registry import LiveRegistry, running_registry


@pytest.fixture(scope="session")
def layers() -> dict[str, bytes]:
    """The root filesystem of the test image: a tar archive for each Debian package."""
    return root_filesystem_layers()


@pytest.fixture(scope="session")
def image(layers: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image with a real root filesystem."""
    return write_image(tmp_path_factory.mktemp("image"), layers)


@pytest.fixture(scope="session")
def multi_platform_image(layers: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An index over that image for two architectures."""
    return write_multi_platform_image(tmp_path_factory.mktemp("index"), layers, ("amd64", "arm64"))


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry that lets nobody in without a password; each test has a repository of its own."""
    with running_registry(tmp_path_factory.mktemp("private"), "--anonymous", "none") as registry:
        yield registry


@pytest.fixture(scope="session")
def public_registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry from which everybody may pull; each test has a repository of its own."""
    with running_registry(tmp_path_factory.mktemp("public"), "--anonymous", "pull") as registry:
        yield registry


@pytest.fixture(scope="session")
def dockerd() -> Generator[Path, None, None]:
    """The socket of a running Docker engine."""
    with running_dockerd() as socket:
        yield socket


@pytest.fixture
def docker(dockerd: Path, tmp_path: Path) -> Docker:
    """The docker command of someone who has not logged in anywhere."""
    return Docker(dockerd, tmp_path / "docker-config")


@pytest.fixture
def docker_of_a_stranger(dockerd: Path, tmp_path: Path) -> Docker:
    """The docker command of someone else, who never logs in."""
    return Docker(dockerd, tmp_path / "stranger-config")
