"""Administration over one database."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from entrepot.access import AnonymousAccess, Authorizer, DatabaseProjects, DatabaseStandings, Passwords
from entrepot.access.administration import Bindings, Explain, Groups, Projects, Robots, Tokens, Users
from entrepot.metadata import Database, open_database
from entrepot.settings import Settings


@dataclass(frozen=True, slots=True)
class Administration:
    """What administrators do, over one database."""

    users: Users
    groups: Groups
    robots: Robots
    tokens: Tokens
    projects: Projects
    bindings: Bindings
    explain: Explain


def administration_of(settings: Settings, database: Database, passwords: Passwords) -> Administration:
    """The uses of administration."""
    anonymous = AnonymousAccess(settings.anonymous.value)
    authorizer = Authorizer(DatabaseStandings(database), DatabaseProjects(database), anonymous)
    return Administration(
        Users(database, passwords),
        Groups(database),
        Robots(database),
        Tokens(database),
        Projects(database),
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
        yield administration_of(settings, database, passwords)
