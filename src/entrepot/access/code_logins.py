"""Logins of people in a browser, at an OpenID provider (authorization code with PKCE)."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from entrepot.access.credentials import CredentialKind
from entrepot.access.login_states import LoginStates
from entrepot.access.onboarding import Onboarding
from entrepot.access.principals import Caller, Principal
from entrepot.access.providers import AuthorizationRequest, OpenIdProvider
from entrepot.access.stored_credentials import StoredCredentials
from entrepot.oci import Unauthorized
from entrepot.secrets import Secret

PATIENCE: Final = timedelta(minutes=10)  # how long somebody may take at the provider

_SESSION = "browser"


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that was begun: where the browser goes, and what it keeps and shows when it comes back."""

    url: str
    browser: Secret


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who logged in, the browser's session, and where it wanted to go."""

    principal: Principal
    session: Secret
    return_to: str


@dataclass(frozen=True, slots=True)
class CodeLogins:
    """Begins and ends logins; sessions last for ``session_lifetime``."""

    states: LoginStates
    provider: OpenIdProvider
    people: Onboarding
    credentials: StoredCredentials
    session_lifetime: timedelta

    async def begin(self, redirect_uri: str, return_to: str) -> Begun:
        """Begin a login that comes back to ``redirect_uri``; raises TooManyRequests, ProviderUnavailable."""
        browser = Secret(secrets.token_urlsafe(32))
        request = await self.provider.begin(redirect_uri)
        kept = {
            "redirect_uri": redirect_uri,
            "nonce": request.nonce,
            "verifier": request.verifier.reveal(),
            "return_to": return_to,
            "browser": _digest(browser),
        }
        await self.states.keep("code", Secret(request.state), kept, PATIENCE)
        return Begun(request.url, browser)

    async def finish(self, state: Secret, code: Secret | None, browser: Secret | None) -> LoggedIn:
        """End the login to which ``state`` belongs, once, in the browser that began it.

        Without a code the provider has refused. Raises Unauthorized with the reasons ``state`` (unknown, used, over, or
        begun in another browser), ``provider-refused`` and those of the provider and its account; ProviderUnavailable.
        """
        kept = await self.states.take("code", state)
        if kept is None or browser is None or not hmac.compare_digest(kept["browser"], _digest(browser)):
            raise Unauthorized(reason="state")
        if code is None:
            raise Unauthorized(reason="provider-refused")
        request = AuthorizationRequest(
            "", kept["redirect_uri"], state.reveal(), kept["nonce"], Secret(kept["verifier"])
        )
        principal = await self.people(await self.provider.finish(code, request))
        session = await self.credentials.make(
            CredentialKind.SESSION, Caller(principal, None), _SESSION, self.session_lifetime
        )
        return LoggedIn(principal, session, kept["return_to"])


def _digest(browser: Secret) -> str:
    return hashlib.sha256(browser.reveal().encode("utf-8", "surrogatepass")).hexdigest()
