"""Projects as they stand in the database."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from entrepot.metadata import Database, find_project_of
from entrepot.oci import RepositoryName


@dataclass(frozen=True, slots=True)
class DatabaseProjects:
    """Reads projects afresh at each call; errors of the database propagate."""

    database: Database

    async def uids_of(self, repositories: Collection[str]) -> Mapping[str, str]:
        """The uids of the projects to which the repositories belong."""
        return await self.database.read(
            lambda tx: {name: find_project_of(tx, RepositoryName(name)).uid for name in repositories}
        )
