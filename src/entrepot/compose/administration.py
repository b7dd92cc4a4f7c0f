"""Administration over one database."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from entrepot.access import AnonymousAccess, Authorizer, DatabaseProjects, DatabaseStandings, Passwords
from entrepot.access.administration import (
    Administration,
    Bindings,
    Explain,
    Groups,
    Projects,
    Robots,
    Roles,
    Tokens,
    Users,
)
from entrepot.metadata import Database, open_database
from entrepot.settings import Settings


def administration_of(database: Database, passwords: Passwords, authorizer: Authorizer) -> Administration:
    """The uses of administration."""
    return Administration(
        Users(database, passwords),
        Groups(database),
        Robots(database),
        Tokens(database),
        Projects(database),
        Roles(database),
        Bindings(database),
        Explain(database, authorizer),
    )


@asynccontextmanager
async def opened_administration(settings: Settings) -> AsyncGenerator[Administration]:
    """Administration of the database of these settings, also beside a running server."""
    async with AsyncExitStack() as stack:
        database = open_database(settings.database.reveal())
        stack.push_async_callback(database.close)
        passwords = Passwords()
        stack.callback(passwords.close)
        anonymous = AnonymousAccess(settings.anonymous.value)
        authorizer = Authorizer(DatabaseStandings(database), DatabaseProjects(database), anonymous)
        yield administration_of(database, passwords, authorizer)
