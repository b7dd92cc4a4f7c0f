"""Databases of either kind with the schema."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.metadata import upgrade
from harness.collecting import Collecting, collecting
from harness.postgresql import PostgresqlServer


@pytest.fixture(scope="session")
def template(postgresql: PostgresqlServer) -> str:
    """The name of a PostgreSQL database with the schema, to be copied."""
    url = postgresql.fresh_database()
    upgrade(url)
    return url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of either kind with the schema."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path / 'entrepot.db'}"
        upgrade(made)
        return made
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.fresh_database(request.getfixturevalue("template"))


@pytest.fixture
async def collected(url: str, tmp_path: Path) -> AsyncIterator[Collecting]:
    """A registry with its collection, and an empty config blob in its repository."""
    async with collecting(url, tmp_path) as registry:
        yield registry
