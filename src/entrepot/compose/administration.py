"""Administration over one database."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields

from entrepot.access import AnonymousAccess, Authorizer, DatabaseProjects, DatabaseStandings, Passwords
from entrepot.access.administration import (
    Administration,
    Audit,
    Bindings,
    Explain,
    Groups,
    ImportUsers,
    Projects,
    Robots,
    Roles,
    Tokens,
    Users,
)
from entrepot.lifecycle import DeleteRepository, Repositories
from entrepot.metadata import Database, open_database
from entrepot.registry import DeleteManifest, DeleteTag
from entrepot.settings import Settings


@dataclass(frozen=True, slots=True)
class LocalAdministration(Administration):
    """Administration of the data here, and of the repositories in it."""

    repositories: Repositories


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
        Audit(database),
        ImportUsers(database),
    )


@asynccontextmanager
async def opened_administration(settings: Settings) -> AsyncGenerator[LocalAdministration]:
    """Administration of the database of these settings, also beside a running server."""
    async with AsyncExitStack() as stack:
        database = open_database(settings.database.reveal())
        stack.push_async_callback(database.close)
        passwords = Passwords()
        stack.callback(passwords.close)
        anonymous = AnonymousAccess(settings.anonymous.value)
        authorizer = Authorizer(DatabaseStandings(database), DatabaseProjects(database), anonymous)
        accounts = administration_of(database, passwords, authorizer)
        parts = {part.name: getattr(accounts, part.name) for part in fields(accounts)}
        yield LocalAdministration(**parts, repositories=repositories_of(settings, database))


def repositories_of(settings: Settings, database: Database) -> Repositories:
    """The uses of repositories as a whole."""
    lease = settings.uploads.lease
    return Repositories(
        database, DeleteRepository(database), DeleteTag(database, lease), DeleteManifest(database, lease)
    )
