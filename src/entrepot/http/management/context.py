"""What the handlers of the management API work with."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import Request

from entrepot.access import Authenticator, KeySet, Rules, StoredCredentials, Trail
from entrepot.access.administration import Administration
from entrepot.http.addresses import Addresses
from entrepot.http.cursors import Cursors
from entrepot.lifecycle import Repositories

PREFIX: Final = "/api/v1"
"""Where the API lies, below the registry's own prefix."""


@dataclass(frozen=True, slots=True)
class Management:
    """Uses, and how callers are known."""

    administration: Administration
    repositories: Repositories
    authenticator: Authenticator
    credentials: StoredCredentials
    addresses: Addresses
    cursors: Cursors
    keys: KeySet
    rules: Rules
    trail: Trail


def management_of(request: Request) -> Management:
    """The parts that handlers work with."""
    found: Management = request.app.state.management
    return found


Parts = Annotated[Management, Depends(management_of)]
