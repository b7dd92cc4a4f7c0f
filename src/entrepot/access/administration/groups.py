"""Groups, by which many accounts are bound at once."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import PAGE, account_named
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.access.errors import NameTaken, NameUnknownHere, NameUnsuitable
from entrepot.metadata import (
    Database,
    GroupRow,
    Transaction,
    add_group,
    add_member,
    find_group,
    list_groups,
    members_of,
    record_audit,
    remove_group,
    remove_member,
)

NAME_CHARACTERS_AT_MOST = 255  # as long as a provider may call one


@dataclass(frozen=True, slots=True)
class Groups:
    """Make, list and remove groups, and say who is in them. All raise Unavailable, StorageFull."""

    database: Database

    async def page(self, by: Authority, after: str = "", at_most: int = PAGE) -> list[GroupRow]:
        """Up to ``at_most`` groups with names after ``after``, in byte order; raises Denied."""

        def unit(tx: Transaction) -> list[GroupRow]:
            require_admin(tx, by)
            return list_groups(tx, after, at_most)

        return await self.database.read(unit)

    async def members(self, by: Authority, name: str, after: str = "", at_most: int = PAGE) -> list[tuple[str, str]]:
        """Names of members, and ``manual`` or ``login`` for how each came into the group.

        Raises NameUnknownHere, Denied.
        """

        def unit(tx: Transaction) -> list[tuple[str, str]]:
            require_admin(tx, by)
            return members_of(tx, group_named(tx, name), after, at_most)

        return await self.database.read(unit)

    async def add(self, by: Authority, name: str) -> None:
        """Make a group, under the name that a provider uses if it is to fill it; raises NameUnsuitable, NameTaken."""
        if not (0 < len(name) <= NAME_CHARACTERS_AT_MOST and name.isprintable()):
            raise NameUnsuitable(reason="name", name=name, characters_at_most=NAME_CHARACTERS_AT_MOST)

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            if not add_group(tx, name):
                raise NameTaken(kind="group", name=name)
            record_audit(tx, by.actor, "group.add", "", name)

        await self.database.write(unit)

    async def remove(self, by: Authority, name: str) -> None:
        """Take a group away with its bindings; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            remove_group(tx, group_named(tx, name))
            record_audit(tx, by.actor, "group.remove", "", name)

        await self.database.write(unit)

    async def add_member(self, by: Authority, name: str, account: str) -> None:
        """Put an account into a group, where no login takes it out; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            add_member(tx, group_named(tx, name), account_named(tx, account).id)
            record_audit(tx, by.actor, "group.add-member", "", name, {"account": account})

        await self.database.write(unit)

    async def remove_member(self, by: Authority, name: str, account: str) -> None:
        """Take an account out of a group; raises NameUnknownHere, also where it is not in it."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            if not remove_member(tx, group_named(tx, name), account_named(tx, account).id):
                raise NameUnknownHere(kind="member", name=account)
            record_audit(tx, by.actor, "group.remove-member", "", name, {"account": account})

        await self.database.write(unit)


def group_named(tx: Transaction, name: str) -> int:
    """The row number of the group of that name; raises NameUnknownHere."""
    found = find_group(tx, name)
    if found is None:
        raise NameUnknownHere(kind="group", name=name)
    return found
