"""Repositories elsewhere, by the calls that there are on the data itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.access.administration import Authority
from entrepot.cli.server.remote.api import API, needed_instant
from entrepot.lifecycle import RepositoryPage, RepositoryPlan
from entrepot.metadata import RepositoryContent, RepositoryRow
from entrepot.oci import RepositoryName


@dataclass(frozen=True, slots=True)
class RemoteRepositories:
    """Repositories; who acts is known by the credentials of the call."""

    api: API

    async def page(self, _by: Authority, prefix: str, _after: str, _at_most: int) -> RepositoryPage:
        """All of them at once."""
        return RepositoryPage([_row(one) for one in await self.api.items("/repositories", prefix=prefix)], None)

    async def rename(self, _by: Authority, name: RepositoryName, new: RepositoryName) -> RepositoryRow:
        """Give a repository another name."""
        return _row(await self.api.call("PATCH", "/repository", {"name": new.text}, name=name.text))

    async def plan_deletion(self, _by: Authority, name: RepositoryName) -> RepositoryPlan:
        """What a deletion would take away."""
        return _plan(name, await self.api.call("GET", "/repository/deletion", name=name.text), "active")

    async def delete(self, _by: Authority, name: RepositoryName) -> RepositoryPlan:
        """Delete a repository."""
        return _plan(name, await self.api.call("DELETE", "/repository", name=name.text), "deleting")


def _row(one: Mapping[str, Any]) -> RepositoryRow:
    created_at = needed_instant(one["created_at"])
    return RepositoryRow(0, one["name"], one["project"], one["kind"], created_at, one["created_by"])


def _plan(name: RepositoryName, said: Mapping[str, int], state: str) -> RepositoryPlan:
    return RepositoryPlan(name, RepositoryContent(id=0, state=state, **said))
