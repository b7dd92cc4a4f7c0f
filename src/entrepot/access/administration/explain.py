"""Why somebody may do something, or may not."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import account_named
from entrepot.access.administration.authority import Acting, Authority, require_admin
from entrepot.access.authorize import Authorizer
from entrepot.access.decide import Decision
from entrepot.access.principals import ANONYMOUS, Principal
from entrepot.access.rights import Action, Resource
from entrepot.access.standing import Standing
from entrepot.access.stored_credentials import principal_of
from entrepot.metadata import Database, Transaction


@dataclass(frozen=True, slots=True)
class Explain:
    """Decides as every door does, and tells what the decision rests on."""

    database: Database
    authorizer: Authorizer

    async def standing(self, by: Acting) -> Standing:
        """How the caller itself stands now; raises Unauthorized, Unavailable."""
        return await self.database.read(by.standing)

    async def __call__(self, by: Authority, subject: str, action: Action, resource: Resource) -> Decision | None:
        """The decision for the account of this name, or for ``anonymous``; None where it is disabled or over.

        Owners of the repository's project and administrators may ask. Raises Denied, NameUnknownHere, Unavailable.
        """

        def unit(tx: Transaction) -> Principal:
            if not by.may(tx, Action.PROJECT, resource):
                require_admin(tx, by)
            return ANONYMOUS if subject == ANONYMOUS.name else principal_of(account_named(tx, subject))

        principal = await self.database.read(unit)
        return await self.authorizer.explain(principal, action, resource)
