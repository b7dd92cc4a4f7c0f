"""Whether a caller may: what its token carries, and what its principal may do at this moment."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace

from entrepot.access.decide import AnonymousAccess, Decision, Rules, decide, literals
from entrepot.access.lru import Recent
from entrepot.access.port import Clock, Projects, Standings
from entrepot.access.principals import Caller, Principal
from entrepot.access.rights import Action, Resource
from entrepot.access.scopes import Scope
from entrepot.access.standing import Places, Standing

PRINCIPALS_AT_MOST = 4096  # principals whose standing a process remembers; a few hundred bytes each and their bindings


class Authorizer:
    """Answers about rights, for every door: denied unless allowed, and errors of the database propagate.

    How a principal stands (does it exist, is it disabled, what is it bound to) and which projects there are is
    remembered under the ``access_version`` of the request, which moves whenever any of this changes: a right that was
    taken away is gone at the next request of every process.
    """

    def __init__(
        self,
        standings: Standings,
        projects: Projects,
        anonymous: AnonymousAccess,
        *,
        principals_at_most: int = PRINCIPALS_AT_MOST,
        clock: Clock = time.time,
    ) -> None:
        self._standings = standings
        self._projects = projects
        self._rules = Rules(anonymous)
        self._clock = clock
        self._known: Recent[str, tuple[int, Standing | None]] = Recent(principals_at_most)
        self._places: tuple[int, Places] | None = None
        self._reading_places = asyncio.Lock()

    async def allows(self, caller: Caller, action: Action, resource: Resource, access_version: int) -> bool:
        """Whether this request may: its token carries the action and its principal has the right."""
        if not await self.carries(caller, action, resource, access_version):
            return False
        return await self.principal_allows(caller.principal, action, resource, access_version)

    async def carries(self, caller: Caller, action: Action, resource: Resource, access_version: int) -> bool:
        """Whether the credentials of this request extend to ``action``, whatever the rights of the principal are.

        A token was granted for the repository in its project: where that is another one now, it carries nothing.
        """
        if caller.granted is None or not resource.is_repository:
            return caller.carries(action, resource)
        places = await self._places_at(access_version)
        return caller.carries(action, resource, places.uid_of(resource.name))

    async def principal_allows(
        self, principal: Principal, action: Action, resource: Resource, access_version: int
    ) -> bool:
        """Whether the principal has the right, whatever the token of the request carries."""
        standing = await self._standing_at(principal, access_version)
        if standing is None:
            return False
        return decide(standing, action, resource, self._rules, await self._places_at(access_version)).is_allowed

    async def prefixes(self, principal: Principal, action: Action, access_version: int) -> list[str]:
        """What the names of all repositories begin with on which the principal may have the right.

        In order, and none is the beginning of another; there may be others of such names.
        """
        standing = await self._standing_at(principal, access_version)
        return [] if standing is None else literals(standing, action, self._rules)

    async def granted(self, caller: Caller, scopes: Iterable[Scope]) -> tuple[Scope, ...]:
        """What a token for ``caller`` may carry of ``scopes``: in the same order, without what is denied.

        Reads the principal's standing afresh, as no version is at hand when a token is asked for.
        """
        standing = self._lasting(await self._standings.find(caller.principal))
        if standing is None:
            return ()
        places = await self._projects.read()
        allowed = (
            replace(
                scope,
                actions=frozenset(
                    action
                    for action in scope.actions
                    if caller.is_within_limits(action, scope.resource)
                    and decide(standing, action, scope.resource, self._rules, places).is_allowed
                ),
                project=places.uid_of(scope.resource.name) if scope.resource.is_repository else "",
            )
            for scope in scopes
        )
        return tuple(scope for scope in allowed if scope.actions)

    async def explain(self, principal: Principal, action: Action, resource: Resource) -> Decision | None:
        """What would be decided now, and why; None where there is no such principal or it is disabled."""
        standing = self._lasting(await self._standings.find(principal))
        if standing is None:
            return None
        return decide(standing, action, resource, self._rules, await self._projects.read())

    async def _standing_at(self, principal: Principal, access_version: int) -> Standing | None:
        """How the principal stands at ``access_version``, None if it is gone or disabled."""
        known = self._known.get(principal.id)
        if known is not None and known[0] == access_version:
            return self._lasting(known[1])
        # The version was read before the rows are: what is stored under it is never older than it.
        standing = await self._standings.find(principal)
        self._known.put(principal.id, (access_version, standing))
        return self._lasting(standing)

    def _lasting(self, standing: Standing | None) -> Standing | None:
        """The same, unless its time is over: that comes without any change of the database."""
        if standing is None or standing.expires_at is None:
            return standing
        return standing if self._clock() < standing.expires_at.timestamp() else None

    async def _places_at(self, access_version: int) -> Places:
        """The projects that there are at ``access_version``, read by one request for all that wait."""
        if self._places is None or self._places[0] != access_version:
            async with self._reading_places:
                if self._places is None or self._places[0] != access_version:
                    self._places = (access_version, await self._projects.read())
        return self._places[1]
