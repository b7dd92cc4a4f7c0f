"""``POST /token``: OAuth 2.0's token endpoint (RFC 6749 section 3.2, Docker's "OAuth2 token authentication")."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from entrepot.access import (
    Authenticator,
    Caller,
    CredentialKind,
    DeviceLogins,
    ExternalLogins,
    IssueTokens,
    LoginUnavailable,
    StoredCredentials,
    Trail,
    basic_challenge,
    parse_scopes,
)
from entrepot.http.errors import GrantTypeUnsupported, in_oauth, with_headers
from entrepot.http.observation import observation_of
from entrepot.http.proxies import address_of
from entrepot.http.tokens.answers import post_answer
from entrepot.http.tokens.forms import Form, read_form
from entrepot.oci import RegistryError, RequestInvalid, Unauthorized

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"

_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # ruff: ignore[hardcoded-password-string]  a type
_SUBJECT_TOKENS = frozenset({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"})

Grant: TypeAlias = Callable[[Form, str], Awaitable[Caller]]
"""Whose credentials a form has that comes from an address; raises Unauthorized, RequestInvalid."""


@dataclass(frozen=True, slots=True)
class PostToken:
    """Issue a bearer token for a password, a refresh token, a login by device, or another issuer's token.

    With ``access_type=offline`` there is a refresh token too. Refusals are in OAuth's words and in the registry's.
    """

    authenticator: Authenticator
    credentials: StoredCredentials
    external: ExternalLogins
    devices: DeviceLogins | None
    issue: IssueTokens
    service: str
    trail: Trail

    async def __call__(self, request: Request) -> Response:
        """Answer with the token; raises whatever is wrong, to be answered in OAuth's form."""
        try:
            return await self._answer(request)
        except Unauthorized as refusal:
            raise in_oauth(with_headers(refusal, {"WWW-Authenticate": basic_challenge(self.service)})) from None
        except RegistryError as error:
            raise in_oauth(error) from error.__cause__

    async def _answer(self, request: Request) -> Response:
        if request.headers.getlist("authorization"):
            # Clients have no credentials of their own here; those of a person belong into the form.
            raise RequestInvalid(reason="authorization")
        form = await read_form(request)
        grant_type = form.needed("grant_type")
        grant = self._grants.get(grant_type)
        if grant is None:
            raise GrantTypeUnsupported(grants=sorted(self._grants))
        scopes = parse_scopes(form.all("scope"))
        observation_of(request).claimed = form.text("username") or ""
        caller = await grant(form, address_of(request))
        observation_of(request).principal = caller.principal
        self.trail.came(caller, grant_type.rpartition(":")[2], address_of(request))
        offline_for = form.text("client_id") or "" if form.text("access_type") == "offline" else None
        issued = await self.issue(caller, scopes, offline_for=None if grant_type == "refresh_token" else offline_for)
        fields = {"issued_token_type": _ACCESS_TOKEN} if grant_type == EXCHANGE_GRANT else {}
        return post_answer(issued, **fields)

    @property
    def _grants(self) -> Mapping[str, Grant]:
        return {
            "password": self._password,
            "refresh_token": self._refresh_token,
            DEVICE_GRANT: self._device,
            EXCHANGE_GRANT: self._exchange,
        }

    async def _password(self, form: Form, address: str) -> Caller:
        """RFC 6749 section 4.3: what Basic would say."""
        return await self.authenticator.password(form.needed("username"), form.needed_secret("password"), address)

    async def _refresh_token(self, form: Form, address: str) -> Caller:  # ruff: ignore[unused-method-argument]  grants are called alike
        """RFC 6749 section 6; the same token is used again and again."""
        return await self.credentials.identify(form.needed_secret("refresh_token"), CredentialKind.REFRESH)

    async def _device(self, form: Form, address: str) -> Caller:  # ruff: ignore[unused-method-argument]  grants are called alike
        """RFC 8628 section 3.4: the login that ``POST /auth/device`` began."""
        if self.devices is None:
            raise LoginUnavailable(reason="oidc")
        return Caller(await self.devices.poll(form.needed_secret("device_code")), None)

    async def _exchange(self, form: Form, address: str) -> Caller:  # ruff: ignore[unused-method-argument]  grants are called alike
        """RFC 8693 section 2.1: the token of a job, a pod or a person, from an issuer that is trusted."""
        if form.needed("subject_token_type") not in _SUBJECT_TOKENS:
            raise RequestInvalid(reason="subject-token-type", wanted=sorted(_SUBJECT_TOKENS))
        if (form.text("requested_token_type") or _ACCESS_TOKEN) != _ACCESS_TOKEN:
            raise RequestInvalid(reason="requested-token-type", wanted=_ACCESS_TOKEN)
        if form.secret("actor_token") is not None:
            raise RequestInvalid(reason="actor-token")
        token = form.needed_secret("subject_token")
        if not self.external.knows(token):
            raise Unauthorized(reason="issuer")
        return Caller(await self.external.by_token(token, form.text("username")), None)
