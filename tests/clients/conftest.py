"""What the tests of clients share: the image they push, registries with each kind of door, an account's folder."""

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from clients.containerd import running_containerd
from clients.engine import Docker, running_dockerd
from clients.image import Layout, noise_layers, root_filesystem_layers, write_image, write_multi_platform_image
from clients.logins import Logins, make_logins
from clients.sandbox import Sandbox, running_sandbox
from harness.registry import ADMIN, LiveRegistry, running_registry

MEBIBYTE = 1024**2
SECONDS_AT_MOST = 60.0


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
def small_image(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image of three layers for what is not about bytes."""
    return write_image(tmp_path_factory.mktemp("small"), noise_layers(3, 1024))


@pytest.fixture(scope="session")
def large_image(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image whose one layer has 64 MiB that do not compress."""
    return write_image(tmp_path_factory.mktemp("large"), noise_layers(1, 64 * MEBIBYTE))


@pytest.fixture(scope="session")
def many_layers_image(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image of twenty layers, more than any client sends at once."""
    return write_image(tmp_path_factory.mktemp("many"), noise_layers(20, MEBIBYTE // 4))


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry that lets nobody in without a password; each test has a repository of its own."""
    with running_registry(tmp_path_factory.mktemp("private"), "--anonymous", "none") as registry:
        yield registry


@pytest.fixture(scope="session")
def logins(private_registry: LiveRegistry, tmp_path_factory: pytest.TempPathFactory) -> Logins:
    """Accounts of the private registry with a login of every kind."""
    return make_logins(private_registry, tmp_path_factory.mktemp("logins"))


@pytest.fixture
def admin(private_registry: LiveRegistry) -> Generator[httpx.Client, None, None]:
    """Plain requests to the private registry, as its admin."""
    credentials = (ADMIN, private_registry.admin_password)
    with httpx.Client(base_url=private_registry.url, auth=credentials, timeout=SECONDS_AT_MOST) as client:
        yield client


@pytest.fixture(scope="session")
def public_registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry from which everybody may pull; each test has a repository of its own."""
    with running_registry(tmp_path_factory.mktemp("public"), "--anonymous", "pull") as registry:
        yield registry


@pytest.fixture(scope="session")
def sandbox() -> Generator[Sandbox, None, None]:
    """Where daemons run, and clients that look for their settings in /etc."""
    with running_sandbox() as made:
        yield made


@pytest.fixture(scope="session")
def dockerd(sandbox: Sandbox) -> Generator[Path, None, None]:
    """The socket of a running Docker engine."""
    with running_dockerd(sandbox) as socket:
        yield socket


@pytest.fixture(scope="session")
def containerd(sandbox: Sandbox) -> Generator[Path, None, None]:
    """The socket of a running containerd."""
    with running_containerd(sandbox) as socket:
        yield socket


@pytest.fixture
def docker(dockerd: Path, tmp_path: Path) -> Docker:
    """The docker command of someone who has not logged in anywhere."""
    return Docker(dockerd, tmp_path / "docker-config")


@pytest.fixture
def docker_of_a_stranger(dockerd: Path, tmp_path: Path) -> Docker:
    """The docker command of someone else, who never logs in."""
    return Docker(dockerd, tmp_path / "stranger-config")
