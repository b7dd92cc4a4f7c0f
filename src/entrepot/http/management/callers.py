"""Who calls the management API: a user or a robot with its own credentials, or a browser with its session."""

from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import Request

from entrepot.access import Caller, CredentialKind, PrincipalKind, Secret, basic_challenge
from entrepot.access.administration import Acting
from entrepot.http.certified import certified
from entrepot.http.errors import ForeignOrigin, with_headers
from entrepot.http.login import SESSION_COOKIE
from entrepot.http.management.context import PREFIX, Management, management_of
from entrepot.http.observation import observation_of
from entrepot.http.proxies import address_of
from entrepot.oci import Unauthorized

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER: Final = "bearer "


async def acting(request: Request) -> Acting:
    """Who asks, with what may be asked about it; raises Unauthorized with a challenge, ForeignOrigin."""
    management = management_of(request)
    observation = observation_of(request)
    observation.route = f"{PREFIX}{request.scope['route'].path}"
    try:
        caller, is_in_person = await _caller(management, request)
    except Unauthorized as refusal:
        raise with_headers(refusal, {"WWW-Authenticate": basic_challenge(management.addresses.service)}) from None
    address = address_of(request)
    management.trail.came(caller, "management", address)
    caller = caller.came_from(address)
    observation.principal = caller.principal
    return Acting(caller, caller.principal.actor, management.rules, is_in_person)


Who = Annotated[Acting, Depends(acting)]


async def _caller(management: Management, request: Request) -> tuple[Caller, bool]:
    """The caller, and whether it came with a password or a session instead of a token."""
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise Unauthorized(reason="several-credentials")
    if not values:
        vouched = await certified(request, management.credentials)
        return vouched or await _session(management, request), True
    if values[0][: len(_BEARER)].lower() == _BEARER:
        token = Secret(values[0][len(_BEARER) :].strip())
        return await management.credentials.identify(token, CredentialKind.TOKEN, CredentialKind.SECRET), False
    caller = await management.authenticator.authenticate(values[0], address=address_of(request))
    if caller.principal.kind is PrincipalKind.ANONYMOUS:
        raise Unauthorized(reason="anonymous")
    return caller, not caller.credential


async def _session(management: Management, request: Request) -> Caller:
    """Whose session the browser has; what another site made it send is refused."""
    cookie = request.cookies.get(SESSION_COOKIE)
    if not cookie:
        raise Unauthorized(reason="anonymous")
    if request.method not in _SAFE and request.headers.get("origin") != management.addresses.origin(request):
        raise ForeignOrigin(reason="origin")
    return await management.credentials.identify(Secret(cookie), CredentialKind.SESSION)
