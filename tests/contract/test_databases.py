"""The contract of the database port, on both databases."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.metadata import Database, DatabaseUrlInvalid, open_database, schema
from entrepot.testing.database import DatabaseContract
from harness.postgresql import PostgresqlServer


@pytest.fixture(scope="module")
def template(postgresql: PostgresqlServer) -> str:
    """The name of a database with the schema, to be copied."""
    url = postgresql.fresh_database()
    schema.upgrade(url)
    return url.rpartition("/")[2]


class TestSqlite(DatabaseContract):
    """A file."""

    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[Database]:
        """A database in a fresh file."""
        url = f"sqlite:///{tmp_path / 'entrepot.db'}"
        schema.upgrade(url)
        database = open_database(url)
        yield database
        await database.close()


class TestPostgresql(DatabaseContract):
    """A server."""

    @pytest.fixture
    async def database(self, postgresql: PostgresqlServer, template: str) -> AsyncIterator[Database]:
        """A database of its own on the tests' server."""
        url = postgresql.fresh_database(template)
        database = open_database(url)
        yield database
        await database.close()
        postgresql.drop_database(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "entrepot.db",
        "sqlite://",
        "sqlite:///",
        "mysql://host/name",
        "postgresql://h/?x=y",
    ],
)
def test_unknown_addresses_are_refused(url: str) -> None:
    """What is no address of a database we know is refused in words."""
    with pytest.raises(DatabaseUrlInvalid, match="sqlite:///PATH or postgresql://"):
        open_database(url)


def test_an_address_hides_its_password() -> None:
    """No representation of an address shows the password in it."""
    password = uuid.uuid4().hex

    assert password not in repr(schema.parse_address(f"postgresql://user:{password}@host/name"))
