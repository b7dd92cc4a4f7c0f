"""The identity providers that the settings name."""

from dataclasses import dataclass

from pydantic import SecretStr

from entrepot.access import Secret
from entrepot.access.providers import (
    LdapAccess,
    LdapDirectory,
    OpenIdProvider,
    OpenIdRegistration,
    TrustedIssuer,
    WorkloadIssuers,
)
from entrepot.settings import Settings, WorkloadIssuer


@dataclass(frozen=True, slots=True)
class Providers:
    """Who vouches for logins beside the database; None where the settings name nobody. Nothing was asked yet."""

    openid: OpenIdProvider | None
    ldap: LdapDirectory | None
    workloads: WorkloadIssuers | None

    async def close(self) -> None:
        """Close their connections, and begin no further logins."""
        for provider in (self.openid, self.ldap, self.workloads):
            if provider is not None:
                await provider.close()


def providers_of(settings: Settings) -> Providers:
    """Make the providers, in the process and on the event loop that use them.

    Raises ValueError for a filter or name of ``ldap`` that is none, OSError for files that cannot be used.
    """
    issuers = settings.workload.issuers
    return Providers(_openid(settings), _ldap(settings), WorkloadIssuers(map(_trusted, issuers)) if issuers else None)


def _openid(settings: Settings) -> OpenIdProvider | None:
    oidc = settings.oidc
    if oidc.issuer is None or oidc.client_id is None:
        return None
    return OpenIdProvider(
        OpenIdRegistration(
            issuer=oidc.issuer,
            client_id=oidc.client_id,
            client_secret=_secret(oidc.client_secret),
            scopes=oidc.scopes,
            username_claim=oidc.username_claim,
            groups_claim=oidc.groups_claim,
            ca=oidc.ca_file,
            allow_http=oidc.allow_http,
        )
    )


def _ldap(settings: Settings) -> LdapDirectory | None:
    ldap = settings.ldap
    if ldap.url is None or ldap.base_dn is None:
        return None
    return LdapDirectory(
        LdapAccess(
            url=ldap.url,
            base_dn=ldap.base_dn,
            bind_dn=ldap.bind_dn or "",
            bind_password=_secret(ldap.bind_password),
            user_filter=ldap.user_filter,
            name_attribute=ldap.name_attribute,
            start_tls=ldap.start_tls,
            ca=ldap.ca_file,
            group_base_dn=ldap.group_base_dn,
            group_filter=ldap.group_filter,
            group_attribute=ldap.group_attribute,
            timeout=ldap.timeout,
        )
    )


def _trusted(issuer: WorkloadIssuer) -> TrustedIssuer:
    return TrustedIssuer(issuer.issuer, issuer.audience, jwks_file=issuer.jwks_file, ca=issuer.ca_file)


def _secret(value: SecretStr | None) -> Secret | None:
    """A secret of the settings, which an empty one is not."""
    return Secret(value.get_secret_value()) if value else None
