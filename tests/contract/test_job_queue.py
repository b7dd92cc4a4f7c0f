"""The contract of the queue of jobs, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.metadata import Database, open_database, schema
from entrepot.testing.job_histories import JobHistoriesContract
from entrepot.testing.job_queue import JobQueueContract
from harness.postgresql import PostgresqlServer


@pytest.fixture(scope="module")
def template(postgresql: PostgresqlServer) -> str:
    """The name of a database with the schema, to be copied."""
    url = postgresql.fresh_database()
    schema.upgrade(url)
    return url.rpartition("/")[2]


class TestSqlite(JobQueueContract, JobHistoriesContract):
    """A file."""

    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[Database]:
        """A database in a fresh file."""
        url = f"sqlite:///{tmp_path / 'entrepot.db'}"
        schema.upgrade(url)
        database = open_database(url)
        yield database
        await database.close()


class TestPostgresql(JobQueueContract, JobHistoriesContract):
    """A server."""

    @pytest.fixture
    async def database(self, postgresql: PostgresqlServer, template: str) -> AsyncIterator[Database]:
        """A database of its own on the tests' server."""
        url = postgresql.fresh_database(template)
        database = open_database(url)
        yield database
        await database.close()
        postgresql.drop_database(url)
