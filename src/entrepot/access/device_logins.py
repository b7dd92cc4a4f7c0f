"""Logins of people at a command line, completed in a browser elsewhere (RFC 8628)."""

import secrets
from dataclasses import dataclass, replace

from entrepot.access.errors import LoginDenied, LoginExpired, LoginPending, LoginPendingSlower
from entrepot.access.login_states import LoginStates
from entrepot.access.onboarding import Onboarding
from entrepot.access.principals import Principal
from entrepot.access.providers import DeviceAuthorization, DeviceState, OpenIdProvider
from entrepot.secrets import Secret


@dataclass(frozen=True, slots=True)
class DeviceLogins:
    """Passes the device grant of the provider on, under device codes of this registry's own."""

    states: LoginStates
    provider: OpenIdProvider
    people: Onboarding

    async def start(self) -> DeviceAuthorization:
        """Begin a login; raises TooManyRequests, ProviderUnavailable."""
        theirs = await self.provider.start_device()
        ours = Secret(secrets.token_urlsafe(32))
        await self.states.keep("device", ours, {"device_code": theirs.device_code.reveal()}, theirs.expires_in)
        return replace(theirs, device_code=ours)

    async def poll(self, device_code: Secret) -> Principal:
        """Who completed the login, once.

        Raises LoginPending, LoginPendingSlower, LoginDenied, LoginExpired; what the provider and Onboarding raise.
        """
        kept = await self.states.find("device", device_code)
        if kept is None:
            raise LoginExpired
        found = await self.provider.poll_device(Secret(kept["device_code"]))
        match found:
            case DeviceState.PENDING:
                raise LoginPending
            case DeviceState.SLOW_DOWN:
                raise LoginPendingSlower
        if await self.states.take("device", device_code) is None:
            raise LoginExpired
        match found:
            case DeviceState.DENIED:
                raise LoginDenied
            case DeviceState.EXPIRED:
                raise LoginExpired
        return await self.people(found)
