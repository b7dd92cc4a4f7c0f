"""Whether a caller may: what its token carries, and what its principal may do at this moment."""

from collections.abc import Iterable
from dataclasses import replace

from entrepot.access.decide import AnonymousAccess, Rules, decide
from entrepot.access.lru import Recent
from entrepot.access.port import Projects, Users
from entrepot.access.principals import ANONYMOUS, Caller, Principal, PrincipalKind
from entrepot.access.rights import Action, Resource
from entrepot.access.scopes import Scope

REPOSITORIES_AT_MOST = 4096  # repositories whose project a process remembers
PRINCIPALS_AT_MOST = 4096  # principals whose state a process remembers; a few hundred bytes each


class Authorizer:
    """Answers about rights, for every door: denied unless allowed, and errors of the users propagate.

    The state of a principal (does it exist, is it disabled, is it an administrator) is remembered under the
    ``access_version`` of the request, which moves whenever any of this changes: a right that was taken away is gone at
    the next request of every process.
    """

    def __init__(
        self,
        users: Users,
        projects: Projects,
        anonymous: AnonymousAccess,
        *,
        principals_at_most: int = PRINCIPALS_AT_MOST,
    ) -> None:
        self._users = users
        self._projects = projects
        self._project_uids: Recent[str, tuple[int, str]] = Recent(REPOSITORIES_AT_MOST)
        self._rules = Rules(anonymous)
        self._states: Recent[str, tuple[int, Principal | None]] = Recent(principals_at_most)

    async def allows(self, caller: Caller, action: Action, resource: Resource, access_version: int) -> bool:
        """Whether this request may: its token carries the action and its principal has the right."""
        if not await self.carries(caller, action, resource, access_version):
            return False
        return await self.principal_allows(caller.principal, action, resource, access_version)

    async def carries(self, caller: Caller, action: Action, resource: Resource, access_version: int) -> bool:
        """Whether the credentials of this request extend to ``action``, whatever the rights of the principal are.

        A token was granted for the repository in its project: where that is another one now, it carries nothing.
        """
        if caller.granted is None:
            return True
        return caller.carries(action, resource, await self._project_of(resource, access_version))

    async def principal_allows(
        self, principal: Principal, action: Action, resource: Resource, access_version: int
    ) -> bool:
        """Whether the principal has the right, whatever the token of the request carries."""
        current = await self._current(principal, access_version)
        return current is not None and decide(current, action, resource, self._rules)

    async def granted(self, principal: Principal, scopes: Iterable[Scope]) -> tuple[Scope, ...]:
        """What a token for ``principal`` may carry of ``scopes``: in the same order, without what is denied.

        Reads the principal's state afresh, as no version is at hand when a token is asked for.
        """
        current = await self._load(principal)
        if current is None:
            return ()
        allowed = [
            Scope(
                scope.resource, frozenset(a for a in scope.actions if decide(current, a, scope.resource, self._rules))
            )
            for scope in scopes
        ]
        granted = [scope for scope in allowed if scope.actions]
        projects = await self._projects.uids_of([s.resource.name for s in granted if s.resource.is_repository])
        return tuple(
            replace(scope, project=projects.get(scope.resource.name, "") if scope.resource.is_repository else "")
            for scope in granted
        )

    async def _project_of(self, resource: Resource, access_version: int) -> str:
        """The project of a repository as it is at ``access_version``."""
        if not resource.is_repository:
            return ""
        known = self._project_uids.get(resource.name)
        if known is not None and known[0] == access_version:
            return known[1]
        uid = (await self._projects.uids_of([resource.name]))[resource.name]
        self._project_uids.put(resource.name, (access_version, uid))
        return uid

    async def _current(self, principal: Principal, access_version: int) -> Principal | None:
        """The principal as it is at ``access_version``, None if it is gone or disabled."""
        if principal.kind is PrincipalKind.ANONYMOUS:
            return ANONYMOUS
        known = self._states.get(principal.id)
        if known is not None and known[0] == access_version:
            return known[1]
        # The version was read before the state is: what is stored under it is never older than it.
        current = await self._load(principal)
        self._states.put(principal.id, (access_version, current))
        return current

    async def _load(self, principal: Principal) -> Principal | None:
        if principal.kind is PrincipalKind.ANONYMOUS:
            return ANONYMOUS
        user = await self._users.find_by_id(principal.id)
        if user is None or user.disabled or user.id != principal.id:
            return None
        return Principal(PrincipalKind.USER, user.id, user.name, user.is_admin)
