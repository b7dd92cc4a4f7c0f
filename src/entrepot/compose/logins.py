"""Ways to log in that need a provider."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from entrepot.access import (
    CodeLogins,
    DeviceLogins,
    ExternalLogins,
    KeySet,
    LoginStates,
    Onboarding,
    RememberedLogins,
    StoredCredentials,
    WorkloadLogins,
)
from entrepot.compose.providers import providers_of
from entrepot.metadata import Database
from entrepot.settings import Settings


@dataclass(frozen=True, slots=True)
class Logins:
    """What the settings offer; None where they name no OpenID provider."""

    external: ExternalLogins
    codes: CodeLogins | None
    devices: DeviceLogins | None


def logins_of(
    settings: Settings, database: Database, keys: KeySet, credentials: StoredCredentials, stack: AsyncExitStack
) -> Logins:
    """Make the logins; nothing is asked yet. ``stack`` closes the providers."""
    providers = providers_of(settings)
    stack.push_async_callback(providers.close)
    people = Onboarding(database, settings.oidc.admin_group, "oidc")
    external = ExternalLogins(
        RememberedLogins(),
        openid=providers.openid,
        people=people if providers.openid is not None else None,
        directory=providers.ldap,
        members=Onboarding(database, settings.ldap.admin_group, "ldap") if providers.ldap is not None else None,
        workloads=WorkloadLogins(database, providers.workloads) if providers.workloads is not None else None,
    )
    if providers.openid is None:
        return Logins(external, None, None)
    states = LoginStates(database, keys)
    codes = CodeLogins(states, providers.openid, people, credentials, settings.tokens.session_lifetime)
    return Logins(external, codes, DeviceLogins(states, providers.openid, people))
