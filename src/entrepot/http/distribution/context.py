"""What the handlers work with."""

from dataclasses import dataclass

from starlette.requests import Request

from entrepot.access import Action, Caller, Resource
from entrepot.http.addresses import Addresses
from entrepot.http.cursors import Cursors
from entrepot.http.door import Door
from entrepot.oci import RepositoryName
from entrepot.registry import Uses


@dataclass(frozen=True, slots=True)
class ListLimits:
    """Items on a page of a list: the default, and what ``n`` may ask for."""

    page: int
    page_at_most: int


@dataclass(frozen=True, slots=True)
class Context:
    """The registry's uses, its door and its addresses; sizes in bytes."""

    uses: Uses
    door: Door
    addresses: Addresses
    lists: ListLimits
    cursors: Cursors
    manifest_bytes_at_most: int

    async def admit(
        self,
        request: Request,
        action: Action,
        name: RepositoryName,
        access_version: int | None = None,
        *,
        within_session: bool = False,
    ) -> Caller:
        """Let the request act on the repository; raises Unauthorized, Denied. Reads the version unless it is given.

        On an upload session's own path, ``within_session``, a token whose time is over still says who asks.
        """
        if access_version is None:
            access_version = await self.uses.hot.access_version()
        resource = Resource.repository(name)
        return await self.door.admit(request, action, resource, access_version, within_session=within_session)
