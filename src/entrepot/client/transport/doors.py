"""Getting in: what a registry wants to see, and what it is shown."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from yarl import URL

from entrepot.client.credentials import Anonymous, AnyCredentials, Credentials, CredentialSource, RegistryToken
from entrepot.client.errors import ClientError, Forbidden, LoginRequired, NotFound, RegistryRefused
from entrepot.client.origins import Origin
from entrepot.client.transport.challenges import parse_challenges
from entrepot.client.transport.scopes import Scope, covers, joined, parse_scopes
from entrepot.client.transport.tokens import Ask, Service, Token, basic, check_realm, fetch_token

TOKENS_AT_MOST: Final = 256  # kept for a registry; a copy needs one for each repository


@dataclass
class _Door:
    """What is known of one origin's door."""

    way: str | None = None
    """``basic`` or ``bearer``, once the origin asked for it."""
    service: Service | None = None
    tokens: list[Token] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Knock:
    """A request that wants to be let in."""

    origin: Origin
    base: URL
    scopes: frozenset[Scope]
    subject: str
    ask: Ask
    """Sends something to a token service."""

    @property
    def repository(self) -> str:
        """The repository that credentials are looked up for: the one that is written to, else any."""
        repositories = [scope for scope in sorted(self.scopes, key=str) if scope.kind == "repository"]
        written = [scope for scope in repositories if scope.actions - {"pull"}]
        found = written or repositories
        return found[0].name if found else ""


class Doors:
    """Remembers for each origin how to get in; tokens are kept for what they allow and fetched anew in time."""

    def __init__(self, credentials: CredentialSource) -> None:
        self._source = credentials
        self._doors: dict[tuple[Origin, str], _Door] = {}
        self._found: dict[tuple[str, str], AnyCredentials | None] = {}

    async def authorization(self, knock: Knock) -> str | None:
        """What to send from the start, as far as the origin's wishes are known already."""
        found = await self._credentials(knock)
        door = self._door(knock)
        if isinstance(found, RegistryToken):
            return f"Bearer {found.token.reveal()}"
        if door.way == "basic":
            return basic(found) if isinstance(found, Credentials) else None
        if door.service is not None and knock.scopes:
            return await self._bearer(knock, door.service, knock.scopes)
        return None

    async def challenged(self, knock: Knock, fields: list[str], sent: str | None) -> str:
        """What to send after a 401 with these challenges to what was ``sent``.

        Raises LoginRequired or Forbidden when nothing better is known, LyingRegistry for a token service that must not
        be trusted.
        """
        found = await self._credentials(knock)
        door = self._door(knock)
        challenges = parse_challenges(fields)
        bearer = next((one for one in challenges if one.scheme == "bearer" and "realm" in one.parameters), None)
        if bearer is not None and not isinstance(found, RegistryToken):
            realm = bearer.parameters["realm"]
            check_realm(knock.origin, knock.base, realm, knock.subject)
            door.way, door.service = "bearer", Service(realm, bearer.parameters.get("service", ""))
            door.tokens = [token for token in door.tokens if _bearer_text(token) != sent]
            wanted = joined([*knock.scopes, *parse_scopes(bearer.parameters.get("scope", ""))])
            return await self._bearer(knock, door.service, wanted)
        if any(one.scheme == "basic" for one in challenges) and isinstance(found, Credentials):
            door.way = "basic"
            if basic(found) != sent:
                return basic(found)
        raise self.refused(knock, fields)

    def refused(self, knock: Knock, fields: list[str], evidence: tuple[str, ...] = ()) -> ClientError:
        """The error for what is refused although everything that is known was shown."""
        found = self._found.get((knock.origin.registry, knock.repository))
        if found is None or isinstance(found, Anonymous):
            return missing(knock.subject, knock.origin.registry, self._source.places(knock.origin.registry), evidence)
        for challenge in parse_challenges(fields):
            if challenge.parameters.get("error") == "insufficient_scope":
                wanted = challenge.parameters.get("scope", "")
                cause = f"{described(found)} may not do this"
                return Forbidden(knock.subject, reason="scope", cause=cause, evidence=[*evidence, f"wanted: {wanted}"])
        return rejected(knock.subject, knock.origin.registry, found, evidence)

    async def _bearer(self, knock: Knock, service: Service, scopes: frozenset[Scope]) -> str:
        """A token that was asked for these scopes; requests at the same time share it."""
        door = self._door(knock)
        async with door.lock:
            now = asyncio.get_running_loop().time()
            door.tokens = [token for token in door.tokens if token.good_until > now][-TOKENS_AT_MOST:]
            for token in door.tokens:
                if covers(token.scopes, scopes):
                    return _bearer_text(token)
            found = await self._credentials(knock)
            try:
                token = await fetch_token(knock.ask, service, scopes, found, knock.subject)
            except (LoginRequired, Forbidden, NotFound, RegistryRefused) as error:
                raise self.refused(knock, [], error.evidence) from error
            door.tokens.append(token)
            return _bearer_text(token)

    async def _credentials(self, knock: Knock) -> AnyCredentials | None:
        key = (knock.origin.registry, knock.repository)
        if key not in self._found:
            self._found[key] = await self._source.find(*key)
        return self._found[key]

    def _door(self, knock: Knock) -> _Door:
        return self._doors.setdefault((knock.origin, knock.repository), _Door())


def described(credentials: AnyCredentials) -> str:
    """Credentials as messages name them: who, and where they were found."""
    who = repr(credentials.username) if isinstance(credentials, Credentials) else "the token"
    return f"{who} (from {credentials.found_in})" if credentials.found_in else who


def missing(subject: str, registry: str, places: Sequence[str], evidence: Sequence[str] = ()) -> LoginRequired:
    """The error for a registry that wants credentials of which none are known."""
    told = [*evidence, f"looked in: {', '.join(places) or 'nowhere, as none were given'}"]
    cause = f"no credentials for {registry} were found"
    return LoginRequired(
        subject, reason="no-credentials", cause=cause, evidence=told, next_command=f"entrepot login {registry}"
    )


def rejected(subject: str, registry: str, credentials: AnyCredentials, evidence: Sequence[str] = ()) -> LoginRequired:
    """The error for credentials that a registry does not accept."""
    cause = f"{registry} does not accept {described(credentials)}: wrong, expired or revoked"
    return LoginRequired(
        subject, reason="rejected", cause=cause, evidence=evidence, next_command=f"entrepot login {registry}"
    )


def _bearer_text(token: Token) -> str:
    return f"Bearer {token.value.reveal()}"
