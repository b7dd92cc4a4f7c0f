"""Groups, by which many accounts are bound at once."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import PAGE, account_named
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.access.administration.which import ById, Which, check_version
from entrepot.access.errors import NameTaken, NameUnknownHere, NameUnsuitable
from entrepot.metadata import (
    Database,
    GroupRow,
    Transaction,
    add_group,
    add_member,
    describe_group,
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

    async def members(self, by: Authority, which: Which, after: str = "", at_most: int = PAGE) -> list[tuple[str, str]]:
        """Names of members, and ``manual`` or ``login`` for how each came into the group.

        Raises NameUnknownHere, Denied.
        """

        def unit(tx: Transaction) -> list[tuple[str, str]]:
            require_admin(tx, by)
            return members_of(tx, group_named(tx, which).id, after, at_most)

        return await self.database.read(unit)

    async def find(self, by: Authority, which: Which) -> GroupRow:
        """One group; raises NameUnknownHere, Denied."""

        def unit(tx: Transaction) -> GroupRow:
            require_admin(tx, by)
            return group_named(tx, which)

        return await self.database.read(unit)

    async def add(self, by: Authority, name: str, description: str = "") -> GroupRow:
        """Make a group, under the name that a provider uses if it is to fill it; raises NameUnsuitable, NameTaken."""
        if not (0 < len(name) <= NAME_CHARACTERS_AT_MOST and name.isprintable()):
            raise NameUnsuitable(reason="name", name=name, characters_at_most=NAME_CHARACTERS_AT_MOST)

        def unit(tx: Transaction) -> GroupRow:
            require_admin(tx, by)
            if not add_group(tx, name, description):
                raise NameTaken(kind="group", name=name)
            record_audit(tx, by.actor, "group.add", "", name)
            return group_named(tx, name)

        return await self.database.write(unit)

    async def describe(self, by: Authority, which: Which, description: str, *, version: int | None = None) -> GroupRow:
        """Say what a group is for; raises NameUnknownHere, Denied, VersionMismatch."""

        def unit(tx: Transaction) -> GroupRow:
            require_admin(tx, by)
            group = group_named(tx, which)
            check_version(group.version, version)
            describe_group(tx, group.id, description)
            record_audit(tx, by.actor, "group.describe", "", group.name)
            return group_named(tx, which)

        return await self.database.write(unit)

    async def remove(self, by: Authority, which: Which) -> None:
        """Take a group away with its bindings; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            group = group_named(tx, which)
            remove_group(tx, group.id)
            record_audit(tx, by.actor, "group.remove", "", group.name)

        await self.database.write(unit)

    async def add_member(self, by: Authority, which: Which, account: Which) -> None:
        """Put an account into a group, where no login takes it out; raises NameUnknownHere."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            group, member = group_named(tx, which), account_named(tx, account)
            add_member(tx, group.id, member.id)
            record_audit(tx, by.actor, "group.add-member", "", group.name, {"account": member.name})

        await self.database.write(unit)

    async def remove_member(self, by: Authority, which: Which, account: Which) -> None:
        """Take an account out of a group; raises NameUnknownHere, also where it is not in it."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            group, member = group_named(tx, which), account_named(tx, account)
            if not remove_member(tx, group.id, member.id):
                raise NameUnknownHere(kind="member", name=member.name)
            record_audit(tx, by.actor, "group.remove-member", "", group.name, {"account": member.name})

        await self.database.write(unit)


def group_named(tx: Transaction, which: Which) -> GroupRow:
    """The group that is meant; raises NameUnknownHere."""
    found = find_group(tx, uid=which.uid) if isinstance(which, ById) else find_group(tx, name=which)
    if found is None:
        raise NameUnknownHere(kind="group", name=str(which))
    return found
