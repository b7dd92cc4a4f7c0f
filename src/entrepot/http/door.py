"""Who asks, and whether they may: the one place where a request meets credentials and rights."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from entrepot.access import (
    Action,
    Authenticator,
    Authorizer,
    Caller,
    ChallengeError,
    LiveCredentials,
    PrincipalKind,
    Resource,
    Scope,
    StoredCredentials,
    Trail,
    bearer_challenge,
)
from entrepot.http.addresses import Addresses
from entrepot.http.certified import certified
from entrepot.http.errors import with_headers
from entrepot.http.observation import observation_of
from entrepot.http.proxies import address_of
from entrepot.oci import Denied, Unauthorized

_READS = frozenset({"GET", "HEAD"})

_ASKED = {Action.PUSH: frozenset({Action.PULL, Action.PUSH})}
"""What a challenge asks for besides the action itself: clients that push look first whether the content is there."""


@dataclass(frozen=True, slots=True)
class Door:
    """Authentication and authorisation of requests; whatever cannot be decided is refused."""

    authenticator: Authenticator
    authorizer: Authorizer
    addresses: Addresses
    credentials: LiveCredentials
    stored: StoredCredentials
    trail: Trail

    async def caller(self, request: Request, wanted: Sequence[Scope] = (), *, within_session: bool = False) -> Caller:
        """Who asks; raises Unauthorized with a challenge for credentials that do not hold.

        With ``within_session`` a token may be over: the use that is called finds the session of its principal, or not.
        """
        values = request.headers.getlist("authorization")
        try:
            if len(values) > 1:
                raise Unauthorized(reason="several-credentials")
            vouched = None if values else await certified(request, self.stored)
            address = address_of(request)
            caller = vouched or await self.authenticator.authenticate(
                values[0] if values else None, address=address, expired_too=within_session
            )
        except Unauthorized as refusal:
            bearer = bool(values) and values[0][:7].lower() == "bearer "
            raise self.challenged(request, wanted, refusal, ChallengeError.INVALID_TOKEN if bearer else None) from None
        self._note(caller, address, is_login=caller.granted is None)
        observation_of(request).principal = caller.principal
        return caller if request.method in _READS else caller.came_from(address)

    def _note(self, caller: Caller, address: str, *, is_login: bool) -> None:
        if is_login:
            self.trail.came(caller, "request", address)
        else:
            self.trail.used(caller, address)

    async def admit(
        self,
        request: Request,
        action: Action,
        resource: Resource,
        access_version: int,
        *,
        within_session: bool = False,
    ) -> Caller:
        """Let the request do ``action``, or raise Unauthorized with a challenge, or Denied.

        Neither answer tells whether the resource exists. Whoever is anonymous, or has the right but a token without
        it, is asked for credentials that carry it; whoever lacks the right is refused.
        """
        wanted = (Scope(resource, _ASKED.get(action, frozenset({action}))),)
        caller = await self.caller(request, wanted, within_session=within_session)
        await self.check(request, caller, access_version, wanted)
        if await self.authorizer.allows(caller, action, resource, access_version):
            return caller
        if caller.principal.kind is PrincipalKind.ANONYMOUS:
            raise self.challenged(request, wanted, Unauthorized(reason="anonymous"))
        if not await self.principal_may(caller, action, resource, access_version):
            raise Denied(scope=str(wanted[0]))
        raise self.insufficient(request, wanted)

    async def check(self, request: Request, caller: Caller, access_version: int, wanted: Sequence[Scope] = ()) -> None:
        """Refuse the token of a credential that no longer counts; raises Unauthorized with a challenge."""
        try:
            await self.credentials.check(caller, access_version)
        except Unauthorized as refusal:
            raise self.challenged(request, wanted, refusal, ChallengeError.INVALID_TOKEN) from None

    async def may(self, caller: Caller, action: Action, resource: Resource, access_version: int) -> bool:
        """Whether this request may, by token and rights."""
        return await self.authorizer.allows(caller, action, resource, access_version)

    async def carries(self, caller: Caller, action: Action, resource: Resource, access_version: int) -> bool:
        """Whether the credentials of this request extend to ``action``, whatever the rights of the principal are."""
        return await self.authorizer.carries(caller, action, resource, access_version)

    async def principal_may(self, caller: Caller, action: Action, resource: Resource, access_version: int) -> bool:
        """Whether the principal has the right, whatever its token carries."""
        return await self.authorizer.principal_allows(caller.principal, action, resource, access_version)

    async def prefixes(self, caller: Caller, action: Action, access_version: int) -> list[str]:
        """What the names of all repositories begin with on which the principal may have the right, in order."""
        return await self.authorizer.prefixes(caller.principal, action, access_version)

    def insufficient(self, request: Request, wanted: Sequence[Scope]) -> Unauthorized:
        """The refusal of a token that carries less than its principal's rights: a new one with ``wanted`` will do."""
        refusal = Unauthorized(reason="insufficient-scope", scopes=[str(scope) for scope in wanted])
        return self.challenged(request, wanted, refusal, ChallengeError.INSUFFICIENT_SCOPE)

    def challenged(
        self,
        request: Request,
        wanted: Sequence[Scope],
        refusal: Unauthorized,
        error: ChallengeError | None = None,
    ) -> Unauthorized:
        """The refusal with a ``WWW-Authenticate`` that says where to get a token, and for which scopes."""
        realm = self.addresses.realm(request)
        challenge = bearer_challenge(realm, self.addresses.service, wanted, error)
        return with_headers(refusal, {"WWW-Authenticate": challenge})
