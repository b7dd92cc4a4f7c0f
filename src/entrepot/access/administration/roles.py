"""Roles beside the built-in ones, made of the same actions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from entrepot.access.administration.accounts import PAGE
from entrepot.access.administration.authority import Authority, require_admin
from entrepot.access.errors import NameTaken, NameUnknownHere, NameUnsuitable, RoleInUse
from entrepot.access.rights import Action
from entrepot.access.roles import BUILT_IN_ROLES, OWNER, actions_of
from entrepot.metadata import (
    Database,
    RoleRow,
    Transaction,
    add_role,
    find_role,
    list_roles,
    record_audit,
    remove_role,
    role_is_bound,
)
from entrepot.oci import RequestInvalid

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Role:
    """A name for a set of actions."""

    name: str
    actions: frozenset[Action]
    is_built_in: bool


@dataclass(frozen=True, slots=True)
class Roles:
    """List, make and remove roles. All raise Unavailable, StorageFull."""

    database: Database

    async def all(self, by: Authority) -> list[Role]:
        """The built-in roles, each with the rights of those before it, then up to a thousand others by name.

        They are no secret to who has an account: whoever binds has to know them. Raises Unauthorized.
        """

        def unit(tx: Transaction) -> list[RoleRow]:
            by.check(tx)
            return list_roles(tx, PAGE)

        own = await self.database.read(unit)
        built_in = [Role(name, actions, is_built_in=True) for name, actions in BUILT_IN_ROLES.items()]
        return built_in + [Role(row.name, actions_of(row.actions), is_built_in=False) for row in own]

    async def add(self, by: Authority, name: str, words: Iterable[str]) -> Role:
        """Make a role of actions, given by their words.

        Raises Denied, NameUnsuitable, NameTaken, and RequestInvalid with reason ``actions`` for others or none.
        """
        if not _NAME.fullmatch(name):
            raise NameUnsuitable(reason="name", name=name)
        given = frozenset(words)
        actions = actions_of(list(given))
        if not given or len(actions) != len(given):
            raise RequestInvalid(reason="actions", known=sorted(OWNER))

        def unit(tx: Transaction) -> Role:
            require_admin(tx, by)
            if name in BUILT_IN_ROLES or not add_role(tx, name, sorted(given)):
                raise NameTaken(kind="role", name=name)
            record_audit(tx, by.actor, "role.add", "", name, {"actions": " ".join(sorted(given))})
            return Role(name, actions, is_built_in=False)

        return await self.database.write(unit)

    async def remove(self, by: Authority, name: str) -> None:
        """Take a role away that nobody has; raises Denied, NameUnknownHere, also for built-in ones, RoleInUse."""

        def unit(tx: Transaction) -> None:
            require_admin(tx, by)
            if find_role(tx, name) is None:
                raise NameUnknownHere(kind="role", name=name)
            if role_is_bound(tx, name):
                raise RoleInUse(name=name)
            remove_role(tx, name)
            record_audit(tx, by.actor, "role.remove", "", name)

        await self.database.write(unit)


def role_actions(tx: Transaction, name: str) -> frozenset[Action]:
    """What a role gives, built in or not; raises NameUnknownHere."""
    actions = BUILT_IN_ROLES.get(name)
    if actions is not None:
        return actions
    found = find_role(tx, name)
    if found is None:
        raise NameUnknownHere(kind="role", name=name)
    return actions_of(found.actions)
