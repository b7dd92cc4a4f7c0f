"""The local users as they stand in the database."""

from dataclasses import dataclass

from entrepot.access.port import StoredUser
from entrepot.metadata import Database, UserRow, renew_password_hash


@dataclass(frozen=True, slots=True)
class DatabaseUsers:
    """Reads users afresh at each call; errors of the database propagate."""

    database: Database

    async def find_by_name(self, name: str) -> StoredUser | None:
        """The user called exactly ``name``."""
        row = await self.database.hot.find_user(name)
        return None if row is None else stored_user_of(row)

    async def renew_hash(self, user: StoredUser, password_hash: str) -> None:
        """Store another hash of the same password; what was made from that stays."""
        if user.password_hash is not None:
            before = user.password_hash
            await self.database.write(lambda tx: renew_password_hash(tx, user.id, before, password_hash))


def stored_user_of(row: UserRow) -> StoredUser:
    """A user from the row."""
    return StoredUser(row.uid, row.name, row.password_hash, row.is_admin, row.disabled)
