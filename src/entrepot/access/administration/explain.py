"""Why somebody may do something, or may not."""

from dataclasses import dataclass

from entrepot.access.administration.accounts import account_named
from entrepot.access.authorize import Authorizer
from entrepot.access.decide import Decision
from entrepot.access.principals import ANONYMOUS
from entrepot.access.rights import Action, Resource
from entrepot.access.stored_credentials import principal_of
from entrepot.metadata import Database


@dataclass(frozen=True, slots=True)
class Explain:
    """Decides as every door does, and tells what the decision rests on."""

    database: Database
    authorizer: Authorizer

    async def __call__(self, subject: str, action: Action, resource: Resource) -> Decision | None:
        """The decision for the account of this name, or for ``anonymous``; None where it is disabled or over.

        Raises NameUnknownHere, Unavailable.
        """
        principal = ANONYMOUS
        if subject != ANONYMOUS.name:
            principal = principal_of(await self.database.read(lambda tx: account_named(tx, subject)))
        return await self.authorizer.explain(principal, action, resource)
