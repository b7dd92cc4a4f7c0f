"""The local users as they stand in the database."""

from dataclasses import dataclass

from entrepot.access.port import StoredUser
from entrepot.metadata import Database, UserRow


@dataclass(frozen=True, slots=True)
class DatabaseUsers:
    """Reads users afresh at each call; errors of the database propagate."""

    database: Database

    async def find_by_name(self, name: str) -> StoredUser | None:
        """The user called exactly ``name``."""
        row = await self.database.hot.find_user(name)
        return None if row is None else stored_user_of(row)


def stored_user_of(row: UserRow) -> StoredUser:
    """A user from the row."""
    return StoredUser(row.uid, row.name, row.password_hash, row.is_admin, row.disabled)
