"""Registries that the tests of the protocol share; each test has a repository of its own."""

from collections.abc import Generator

import httpx
import pytest

from harness.protocol import Repository, RunningRegistry, registry_in


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[RunningRegistry, None, None]:
    """A registry on each database."""
    flags = {}
    if request.param == "postgresql":
        flags["database"] = request.getfixturevalue("postgresql").fresh_database()
    with registry_in(tmp_path_factory.mktemp("registry"), **flags) as running:
        yield running


@pytest.fixture(scope="session")
def small_registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningRegistry, None, None]:
    """A registry on SQLite whose anonymous clients may pull."""
    with registry_in(tmp_path_factory.mktemp("registry"), anonymous="pull") as running:
        yield running


@pytest.fixture
def client(registry: RunningRegistry) -> Generator[httpx.Client, None, None]:
    """The admin."""
    with registry.admin() as admin:
        yield admin


@pytest.fixture
def repository(client: httpx.Client) -> Repository:
    """A repository that no other test uses."""
    return Repository(client)
