"""How principals stand, by the rows of the database."""

import json
from dataclasses import dataclass

from entrepot.access.patterns import RepositoryPattern
from entrepot.access.principals import Principal, PrincipalKind
from entrepot.access.roles import BUILT_IN_ROLES, actions_of
from entrepot.access.standing import Binding, Standing
from entrepot.access.stored_credentials import principal_of
from entrepot.metadata import BindingRow, Database, Transaction, bindings_for, find_account


@dataclass(frozen=True, slots=True)
class DatabaseStandings:
    """Reads accounts and bindings afresh at each call; errors of the database propagate."""

    database: Database

    async def find(self, principal: Principal) -> Standing | None:
        """The principal in its current state with what it is bound to; None if it is gone or disabled."""
        return await self.database.read(lambda tx: standing_of(tx, principal))


def standing_of(tx: Transaction, principal: Principal) -> Standing | None:
    """Likewise, within a transaction."""
    if principal.kind is PrincipalKind.ANONYMOUS:
        return Standing(principal, tuple(map(binding_of, bindings_for(tx, None))))
    account = find_account(tx, principal.id)
    if account is None or account.disabled_at is not None:
        return None
    bindings = tuple(map(binding_of, bindings_for(tx, account.id)))
    return Standing(principal_of(account), bindings, account.expires_at)


def binding_of(row: BindingRow) -> Binding:
    """A binding from its row; a role that is not there gives nothing."""
    actions = BUILT_IN_ROLES.get(row.role)
    if actions is None:
        actions = frozenset() if row.role_actions is None else actions_of(json.loads(row.role_actions))
    return Binding(
        row.uid,
        row.subject,
        row.project,
        row.role,
        actions,
        RepositoryPattern.parse(row.repositories),
        row.inherited,
    )
