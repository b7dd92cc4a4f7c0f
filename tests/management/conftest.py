"""A registry, and one caller of each kind."""

from collections.abc import Generator

import pytest

from harness.registry import LiveRegistry, running_registry
from management.house import House, furnish


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry where nobody may do anything without a binding."""
    with running_registry(tmp_path_factory.mktemp("management"), "--anonymous", "none") as started:
        yield started


@pytest.fixture(scope="session")
def house(registry: LiveRegistry) -> Generator[House, None, None]:
    """Two projects with an image each, and users with every role in one of them."""
    furnished = furnish(registry)
    yield furnished
    furnished.close()
