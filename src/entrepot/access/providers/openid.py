"""People who log in at an OpenID provider (OpenID Connect Core 1.0): authorization code with PKCE, device grant."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlencode

from entrepot.access.port import Clock
from entrepot.access.providers.device import DeviceAuthorization, DeviceState
from entrepot.access.providers.discovery import Discovery
from entrepot.access.providers.errors import IdentityRefused, ProviderUnavailable
from entrepot.access.providers.identity import ExternalIdentity
from entrepot.access.providers.json_documents import JsonObject
from entrepot.access.providers.key_sets import ProviderKeys
from entrepot.access.providers.provider_client import TIMEOUT, Answer, ProviderClient
from entrepot.access.providers.signed_tokens import SignedTokens, audiences_of, same, stated_issuer
from entrepot.oci import Unauthorized
from entrepot.secrets import Secret

SCOPES: Final = ("openid", "profile")
ID_TOKEN_CHARACTERS_AT_MOST: Final = 512 * 1024  # 1000 groups of 255 characters, encoded
CODE_CHARACTERS_AT_MOST: Final = 4096
DEVICE_CODE_CHARACTERS_AT_MOST: Final = 4096

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_OTHER_SPELLINGS = {"authorization_declined": DeviceState.DENIED}  # Microsoft Entra ID
_INTERVAL_SECONDS = 5  # RFC 8628 section 3.2: when the provider says none
_SECONDS_AT_MOST = 24 * 3600
_USER_CODE_CHARACTERS_AT_MOST = 64


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One login that was begun: ``url`` is where the browser goes, the rest is kept for its return.

    ``state`` comes back with the code; whoever brings another one did not begin this login.
    """

    url: str
    redirect_uri: str
    state: str
    nonce: str
    verifier: Secret

    def has_state(self, state: str) -> bool:
        """Whether this is the request's state, in constant time."""
        return hmac.compare_digest(self.state.encode(), state.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class OpenIdRegistration:
    """A provider and this registry's client there.

    ``client_secret`` is None for a public client. ``username_claim`` and ``groups_claim`` are looked for in the ID
    token, then in userinfo; without groups anywhere there are none. ``ca`` replaces the system's authorities.
    ``timeout`` bounds each request to the provider.
    """

    issuer: str
    client_id: str
    client_secret: Secret | None = None
    scopes: tuple[str, ...] = SCOPES
    username_claim: str = "preferred_username"
    groups_claim: str = "groups"
    ca: Path | None = None
    allow_http: bool = False
    timeout: timedelta = TIMEOUT


class OpenIdProvider:
    """Logs people in at one provider, which is asked at the first login; every method raises ProviderUnavailable."""

    def __init__(
        self, registration: OpenIdRegistration, *, clock: Clock = time.time, monotonic: Clock = time.monotonic
    ) -> None:
        self._registration = registration
        issuer = registration.issuer
        self._client = ProviderClient(
            issuer,
            ca=registration.ca,
            allow_http=registration.allow_http,
            timeout=registration.timeout,
            clock=monotonic,
        )
        self._discovery = Discovery(issuer, self._client, monotonic)
        keys = ProviderKeys(issuer, self._discovery.keys, monotonic)
        self._tokens = SignedTokens(issuer, keys, characters_at_most=ID_TOKEN_CHARACTERS_AT_MOST, clock=clock)

    async def begin(self, redirect_uri: str) -> AuthorizationRequest:
        """Begin a login in a browser (section 3.1.2.1, RFC 7636); the provider has to know ``redirect_uri``."""
        endpoint = _needed((await self._discovery.metadata()).authorization_endpoint)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._registration.client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self._registration.scopes),
                "state": state,
                "nonce": nonce,
                "code_challenge": _challenge(verifier),
                "code_challenge_method": "S256",
            }
        )
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"
        return AuthorizationRequest(url, redirect_uri, state, nonce, Secret(verifier))

    async def finish(self, code: Secret, request: AuthorizationRequest) -> ExternalIdentity:
        """Who logged in, by the code that came back with the request's state.

        Raises Unauthorized, with the reasons ``code`` and ``nonce`` besides those of SignedTokens, ``audience`` and
        ``subject`` (userinfo is about somebody else); IdentityRefused.
        """
        if not 0 < len(code.reveal()) <= CODE_CHARACTERS_AT_MOST:
            raise Unauthorized(reason="code")
        answer = await self._ask_for_tokens(
            {
                "grant_type": "authorization_code",
                "code": code.reveal(),
                "redirect_uri": request.redirect_uri,
                "code_verifier": request.verifier.reveal(),
            }
        )
        if answer.status != HTTPStatus.OK:
            _refuse_code(answer)
        return await self._identity(answer.content, nonce=request.nonce)

    def knows(self, token: str) -> bool:
        """Whether the text looks like a token of the provider; nothing is verified."""
        try:
            return len(token) <= ID_TOKEN_CHARACTERS_AT_MOST and stated_issuer(token) == self._registration.issuer
        except Unauthorized:
            return False

    async def identify(self, id_token: Secret) -> ExternalIdentity:
        """Who an ID token is about that was got elsewhere for this client; raises as ``finish`` does.

        Its own claims alone say the name and the groups.
        """
        return await self._identity({"id_token": id_token.reveal()}, nonce=None)

    async def start_device(self) -> DeviceAuthorization:
        """Begin a login for a program without a browser (RFC 8628 section 3.1)."""
        metadata = await self._discovery.metadata()
        answer = await self._post(
            _needed(metadata.device_authorization_endpoint), {"scope": " ".join(self._registration.scopes)}
        )
        if answer.status != HTTPStatus.OK:
            raise ProviderUnavailable(reason="oidc-client")
        return self._device_authorization(answer.content)

    async def poll_device(self, device_code: Secret) -> ExternalIdentity | DeviceState:
        """Whether the login that ``start_device`` began is complete (section 3.4); raises as ``finish`` does."""
        if not 0 < len(device_code.reveal()) <= DEVICE_CODE_CHARACTERS_AT_MOST:
            raise Unauthorized(reason="code")
        answer = await self._ask_for_tokens({"grant_type": _DEVICE_GRANT, "device_code": device_code.reveal()})
        if answer.status == HTTPStatus.OK:
            return await self._identity(answer.content, nonce=None)
        error = str(answer.content.get("error"))
        try:
            return DeviceState(_OTHER_SPELLINGS.get(error, error))
        except ValueError:
            _refuse_code(answer)

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._client.close()

    async def _ask_for_tokens(self, fields: Mapping[str, str]) -> Answer:
        return await self._post(_needed((await self._discovery.metadata()).token_endpoint), fields)

    async def _post(self, url: str, fields: Mapping[str, str]) -> Answer:
        """Post a form as this client, whose secret goes the way that the provider takes it."""
        secret = self._registration.client_secret
        if secret is not None and not (await self._discovery.metadata()).posts_client_secret:
            return await self._client.post(url, fields, client=(self._registration.client_id, secret))
        own = {"client_id": self._registration.client_id}
        if secret is not None:
            own["client_secret"] = secret.reveal()
        return await self._client.post(url, {**fields, **own})

    async def _identity(self, answer: JsonObject, *, nonce: str | None) -> ExternalIdentity:
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderUnavailable(reason="oidc-malformed")
        claims = await self._tokens.open(token)
        self._check_audience(claims)
        if nonce is not None and not same(claims.get("nonce"), nonce):
            raise Unauthorized(reason="nonce")
        if self._registration.groups_claim not in claims or self._registration.username_claim not in claims:
            claims = {**await self._userinfo(answer, str(claims["sub"])), **claims}
        return ExternalIdentity(
            self._registration.issuer,
            str(claims["sub"]),
            _name_in(claims.get(self._registration.username_claim)),
            _groups_in(claims.get(self._registration.groups_claim)),
        )

    def _check_audience(self, claims: JsonObject) -> None:
        """Section 3.1.3.7, items 3 to 5: the token is for this client, and was asked for by it."""
        audiences = audiences_of(claims)
        if self._registration.client_id not in audiences:
            raise Unauthorized(reason="audience")
        if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != self._registration.client_id:
            raise Unauthorized(reason="audience")

    async def _userinfo(self, answer: JsonObject, subject: str) -> JsonObject:
        """What userinfo says about the subject of the ID token (section 5.3); nothing where there is none."""
        endpoint, token = (await self._discovery.metadata()).userinfo_endpoint, answer.get("access_token")
        if endpoint is None or not isinstance(token, str):
            return {}
        if not token.isascii() or not token.isprintable():
            raise ProviderUnavailable(reason="oidc-malformed")
        claims = await self._client.get(endpoint, bearer=Secret(token))
        if claims.get("sub") != subject:
            raise Unauthorized(reason="subject")
        return claims

    def _device_authorization(self, answer: JsonObject) -> DeviceAuthorization:
        device_code, user_code = answer.get("device_code"), answer.get("user_code")
        if not isinstance(device_code, str) or not 0 < len(device_code) <= DEVICE_CODE_CHARACTERS_AT_MOST:
            raise ProviderUnavailable(reason="oidc-malformed")
        if not isinstance(user_code, str) or not 0 < len(user_code) <= _USER_CODE_CHARACTERS_AT_MOST:
            raise ProviderUnavailable(reason="oidc-malformed")
        if not user_code.isprintable():
            raise ProviderUnavailable(reason="oidc-malformed")
        complete = answer.get("verification_uri_complete")
        return DeviceAuthorization(
            Secret(device_code),
            user_code,
            self._client.check_url(answer.get("verification_uri")),
            None if complete is None else self._client.check_url(complete),
            _seconds(answer.get("expires_in")),
            _seconds(answer.get("interval", _INTERVAL_SECONDS)),
        )


def _challenge(verifier: str) -> str:
    """RFC 7636 section 4.2, ``S256``."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _needed(endpoint: str | None) -> str:
    if endpoint is None:
        raise ProviderUnavailable(reason="oidc-endpoint")
    return endpoint


def _refuse_code(answer: Answer) -> NoReturn:
    """Tell a code that is used up, expired or made up from a client that the provider does not take."""
    if answer.content.get("error") in {"invalid_grant", "invalid_request"}:
        raise Unauthorized(reason="code")
    raise ProviderUnavailable(reason="oidc-client")


def _seconds(value: object) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _SECONDS_AT_MOST:
        raise ProviderUnavailable(reason="oidc-malformed")
    return timedelta(seconds=value)


def _name_in(claim: object) -> str:
    if not isinstance(claim, str):
        raise IdentityRefused(reason="name")
    return claim


def _groups_in(claim: object) -> frozenset[str]:
    """The groups in a claim that is a list of names, one name, or missing."""
    groups = [] if claim is None else [claim] if isinstance(claim, str) else claim
    if not isinstance(groups, list):
        raise IdentityRefused(reason="groups")
    if not all(isinstance(group, str) for group in groups):
        raise IdentityRefused(reason="group")
    return frozenset(groups)
