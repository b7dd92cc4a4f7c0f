"""Showing credentials to a registry to see whether it accepts them (distribution spec, end-1; Docker's tokens)."""

from dataclasses import dataclass

from entrepot.client.credentials import Anonymous, AnyCredentials, Credentials, IdentityToken, RegistryToken
from entrepot.client.errors import Forbidden, LoginRequired, LyingRegistry, NotFound, RegistryRefused
from entrepot.client.origins import Origin
from entrepot.client.transport.challenges import Challenge, parse_challenges
from entrepot.client.transport.claims import actions_of, username_of
from entrepot.client.transport.doors import rejected
from entrepot.client.transport.requests import Request
from entrepot.client.transport.scopes import Scope
from entrepot.client.transport.tokens import Service, Token, basic, check_realm, fetch_token
from entrepot.client.transport.transport import Transport

_ACTIONS = ("pull", "push", "delete")


@dataclass(frozen=True, slots=True)
class Proven:
    """What a registry thinks of credentials."""

    credentials: AnyCredentials
    """What is to be kept: an identity token in place of a password, where the registry gives one."""
    username: str | None
    """Who they are, as the registry says, else as they say; None if nobody says."""
    is_asked: bool
    """False for a registry that lets everybody in and looks at no credentials."""
    actions: frozenset[str] | None = None
    """What they may do in the repository that was asked about, as far as a token says."""


async def challenges_of(transport: Transport, origin: Origin) -> list[Challenge]:
    """How a registry wants to be logged in to; nothing for one that lets everybody in."""
    request = _request(origin, frozenset({200, 401}))
    async with transport.send(request) as answer:
        return parse_challenges(answer.fields("WWW-Authenticate")) if answer.status == 401 else []  # ruff: ignore[magic-value-comparison]  unauthorized


async def prove(transport: Transport, origin: Origin, credentials: AnyCredentials, repository: str = "") -> Proven:
    """Show a registry credentials; raises LoginRequired where it does not accept them."""
    try:
        return await _proven(transport, origin, credentials, repository)
    except (LoginRequired, Forbidden, NotFound, RegistryRefused) as error:
        raise rejected(origin.registry, origin.registry, credentials, error.evidence) from error


async def _proven(transport: Transport, origin: Origin, credentials: AnyCredentials, repository: str) -> Proven:
    challenges = await challenges_of(transport, origin)
    bearer = next((one for one in challenges if one.scheme == "bearer" and "realm" in one.parameters), None)
    username = credentials.username if isinstance(credentials, Credentials) else None
    if bearer is not None and not isinstance(credentials, RegistryToken):
        token = await _token(transport, origin, bearer, credentials, repository)
        await _let_in(transport, origin, f"Bearer {token.value.reveal()}")
        kept = credentials
        if isinstance(credentials, Credentials) and token.refresh is not None:
            kept = IdentityToken(token.refresh, credentials.found_in)
        actions = actions_of(token, repository) if repository else None
        return Proven(kept, username_of(token) or username, is_asked=True, actions=actions)
    if isinstance(credentials, Anonymous):
        return Proven(credentials, None, is_asked=bool(challenges))
    if isinstance(credentials, IdentityToken):
        cause = "it has no token service, where an identity token could be used"
        raise RegistryRefused(origin.registry, reason="identity-token", cause=cause)
    shown = f"Bearer {credentials.token.reveal()}" if isinstance(credentials, RegistryToken) else basic(credentials)
    await _let_in(transport, origin, shown)
    return Proven(credentials, username, is_asked=bool(challenges))


async def _token(
    transport: Transport, origin: Origin, bearer: Challenge, credentials: AnyCredentials, repository: str
) -> Token:
    knock = await transport.knock(_request(origin, frozenset({200})))
    realm = bearer.parameters["realm"]
    check_realm(origin, knock.base, realm, origin.registry)
    service = Service(realm, bearer.parameters.get("service", ""))
    scopes = frozenset({Scope.repository(repository, *_ACTIONS)} if repository else ())
    return await fetch_token(knock.ask, service, scopes, credentials, origin.registry, is_offline=not repository)


async def _let_in(transport: Transport, origin: Origin, authorization: str) -> None:
    """Be let in with this header; also by a registry that lets everybody in, for it may look at what it is shown."""
    request = _request(origin, frozenset({200}), {"Authorization": authorization})
    async with transport.send(request) as answer:
        if answer.is_foreign:
            raise LyingRegistry(origin.registry, reason="redirect", cause="it sends logins elsewhere")


def _request(origin: Origin, expected: frozenset[int], headers: dict[str, str] | None = None) -> Request:
    return Request(
        method="GET",
        origin=origin,
        target="/v2/",
        subject=origin.registry,
        expected=expected,
        headers=headers or {},
        is_anonymous=True,
    )
