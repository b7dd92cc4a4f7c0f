"""Projects as they stand in the database."""

from dataclasses import dataclass

from entrepot.access.standing import Places
from entrepot.metadata import Database, project_uids


@dataclass(frozen=True, slots=True)
class DatabaseProjects:
    """Reads projects afresh at each call; errors of the database propagate."""

    database: Database

    async def read(self) -> Places:
        """All of them, by name."""
        return Places(await self.database.read(project_uids))
