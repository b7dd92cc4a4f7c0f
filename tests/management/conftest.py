"""A registry on each database, and one caller of each kind."""

from collections.abc import Generator

import pytest

from harness.administration import Administration
from harness.registry import LiveRegistry, running_registry
from management.house import House, furnish


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The registry's database."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql").fresh_database())
    return f"sqlite:///{tmp_path_factory.mktemp('database') / 'entrepot.db'}"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Generator[LiveRegistry, None, None]:
    """A registry where nobody may do anything without a binding."""
    environment = {"ENTREPOT_DATABASE": database_url}
    folder = tmp_path_factory.mktemp("management")
    with running_registry(folder, "--anonymous", "none", environment=environment) as started:
        yield started


@pytest.fixture(scope="session")
def house(registry: LiveRegistry) -> Generator[House, None, None]:
    """Two projects with an image each, and users with every role in one of them."""
    furnished = furnish(registry)
    yield furnished
    furnished.close()


@pytest.fixture
def here(registry: LiveRegistry, database_url: str) -> Administration:
    """Runs commands of administration on its data."""
    return Administration(registry.data, database_url)
