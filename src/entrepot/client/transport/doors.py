"""Getting in: what a registry wants to see, and what it is shown."""

import asyncio
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
        registry, subject = knock.origin.registry, knock.subject
        found = self._found.get((registry, knock.repository))
        login = f"the same command with --username NAME --password-stdin, for {registry}"
        if found is None or isinstance(found, Anonymous):
            places = ", ".join(self._source.places(registry)) or "nowhere, as none were given"
            cause = f"no credentials for {registry} were found"
            told = [*evidence, f"looked in: {places}"]
            return LoginRequired(subject, reason="no-credentials", cause=cause, evidence=told, next_command=login)
        who = repr(found.username) if isinstance(found, Credentials) else "the token"
        where = f" (from {found.found_in})" if found.found_in else ""
        for challenge in parse_challenges(fields):
            if challenge.parameters.get("error") == "insufficient_scope":
                wanted = challenge.parameters.get("scope", "")
                cause = f"{who}{where} may not do this"
                return Forbidden(subject, reason="scope", cause=cause, evidence=[*evidence, f"wanted: {wanted}"])
        cause = f"{registry} does not accept {who}{where}: wrong, expired or revoked"
        return LoginRequired(subject, reason="rejected", cause=cause, evidence=evidence, next_command=login)

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


def _bearer_text(token: Token) -> str:
    return f"Bearer {token.value.reveal()}"
