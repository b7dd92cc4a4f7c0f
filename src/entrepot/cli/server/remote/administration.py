"""Everything that is administered elsewhere, together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from entrepot.cli.server.remote.accounts import RemoteGroups, RemoteRobots, RemoteTokens, RemoteUsers
from entrepot.cli.server.remote.api import API, client_of
from entrepot.cli.server.remote.audit import RemoteAudit
from entrepot.cli.server.remote.login import Server
from entrepot.cli.server.remote.repositories import RemoteRepositories
from entrepot.cli.server.remote.rights import RemoteBindings, RemoteExplain, RemoteProjects, RemoteRoles


@dataclass(frozen=True, slots=True)
class RemoteAdministration:
    """The same names as on the data itself."""

    users: RemoteUsers
    groups: RemoteGroups
    robots: RemoteRobots
    tokens: RemoteTokens
    projects: RemoteProjects
    roles: RemoteRoles
    bindings: RemoteBindings
    explain: RemoteExplain
    audit: RemoteAudit
    repositories: RemoteRepositories


@asynccontextmanager
async def opened_remote(server: Server) -> AsyncGenerator[RemoteAdministration]:
    """Administration through the API of a registry; raises CommandFailed."""
    async with client_of(server) as client:
        api = API(client)
        yield RemoteAdministration(
            RemoteUsers(api),
            RemoteGroups(api),
            RemoteRobots(api),
            RemoteTokens(api),
            RemoteProjects(api),
            RemoteRoles(api),
            RemoteBindings(api),
            RemoteExplain(api),
            RemoteAudit(api),
            RemoteRepositories(api),
        )
