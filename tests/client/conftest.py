"""Registries to move images to and from: ours, CNCF's, and the one before, with a login and without."""

import secrets
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import registries
from client.shell import Shell
from entrepot.client.client import Client
from entrepot.client.credentials import Credentials, GivenCredentials
from entrepot.client.targets.registry.known_blobs import KnownBlobs
from entrepot.client.targets.registry.saved_uploads import SavedUploads
from entrepot.secrets import Secret


@dataclass(frozen=True)
class Peer:
    """A registry at ``address``."""

    name: str
    address: str
    login: bool

    def client(self, state: Path, password: str = registries.PASSWORD) -> Client:
        """A client that logs in where it has to, and keeps its state in a folder of the test's."""
        given = GivenCredentials(Credentials(registries.USER, Secret(password))) if self.login else None
        known = KnownBlobs(state / "blobs.sqlite")
        return Client(given, saved_uploads=SavedUploads(state), known_blobs=known)

    def fresh(self) -> str:
        """A repository of the registry that nothing is in."""
        return f"{self.address}/team/{secrets.token_hex(5)}"


@pytest.fixture(
    scope="session",
    params=[(name, login) for name in ("entrepot", "distribution", "docker-registry") for login in (True, False)],
    ids=lambda param: f"{param[0]}-{'login' if param[1] else 'open'}",
)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Peer, None, None]:
    """Each of the registries."""
    name, login = request.param
    folder = tmp_path_factory.mktemp("peer") / "registry"
    with registries.running(name, folder, login=login) as running:
        yield Peer(name, f"127.0.0.1:{running.port}", login)


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Generator[Peer, None, None]:
    """Our registry, open to everybody."""
    folder = tmp_path_factory.mktemp("ours") / "registry"
    with registries.running("entrepot", folder, login=False) as running:
        yield Peer("entrepot", f"127.0.0.1:{running.port}", login=False)


@pytest.fixture(scope="session")
def ours_with_login(tmp_path_factory: pytest.TempPathFactory) -> Generator[Peer, None, None]:
    """Our registry, where the admin may delete."""
    folder = tmp_path_factory.mktemp("ours-login") / "registry"
    with registries.running("entrepot", folder, login=True) as running:
        yield Peer("entrepot", f"127.0.0.1:{running.port}", login=True)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The shell of a test, whose home is the test's folder."""
    return Shell(tmp_path)
