"""The way to a database: from its address to a ready adapter."""

from entrepot.metadata.port import Database
from entrepot.metadata.postgresql import PostgresqlDatabase
from entrepot.metadata.schema import PostgresqlAddress, parse_address, require_current
from entrepot.metadata.sqlite import SqliteDatabase


def open_database(url: str) -> Database:
    """Open ``sqlite:///PATH`` or ``postgresql://…``; blocks for as long as a connection takes.

    Raises DatabaseUnsuitable (SchemaMissing, SchemaOlder, SchemaNewer, DatabaseUrlInvalid and others) with what to do,
    Unavailable when there is no answer.
    """
    require_current(url)
    address = parse_address(url)
    if isinstance(address, PostgresqlAddress):
        return PostgresqlDatabase(address.url)
    return SqliteDatabase(address.path)
