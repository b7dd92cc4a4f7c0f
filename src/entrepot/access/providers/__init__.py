"""Identities that others vouch for: OpenID Connect, workload tokens, LDAP directories."""

from entrepot.access.providers.conditions import check_conditions, conditions_hold
from entrepot.access.providers.device import DeviceAuthorization, DeviceState
from entrepot.access.providers.errors import IdentityRefused, ProviderUnavailable
from entrepot.access.providers.identity import ExternalIdentity
from entrepot.access.providers.ldap import LdapAccess, LdapDirectory
from entrepot.access.providers.openid import AuthorizationRequest, OpenIdProvider, OpenIdRegistration
from entrepot.access.providers.workload import TrustedIssuer, WorkloadIdentity, WorkloadIssuers

__all__ = [
    "AuthorizationRequest",
    "DeviceAuthorization",
    "DeviceState",
    "ExternalIdentity",
    "IdentityRefused",
    "LdapAccess",
    "LdapDirectory",
    "OpenIdProvider",
    "OpenIdRegistration",
    "ProviderUnavailable",
    "TrustedIssuer",
    "WorkloadIdentity",
    "WorkloadIssuers",
    "check_conditions",
    "conditions_hold",
]
