"""Who may do what: identities, credentials, tokens, and the one decision."""

from entrepot.access.authenticate import Authenticator
from entrepot.access.authorize import Authorizer
from entrepot.access.challenge import ChallengeError, basic_challenge, bearer_challenge
from entrepot.access.client_certificates import ClientCertificate, ClientIdentity, identity_of
from entrepot.access.code_logins import CodeLogins
from entrepot.access.credentials import Credential, CredentialKind
from entrepot.access.database_projects import DatabaseProjects
from entrepot.access.database_users import DatabaseUsers
from entrepot.access.decide import AnonymousAccess, Rules, decide
from entrepot.access.device_logins import DeviceLogins
from entrepot.access.errors import (
    AccountNameTaken,
    LoginDenied,
    LoginExpired,
    LoginPending,
    LoginPendingSlower,
    LoginUnavailable,
)
from entrepot.access.external_logins import ExternalLogins, RememberedLogins
from entrepot.access.first_admin import ADMIN, FirstPasswordMissing, PasswordFileUnusable, ensure_admin
from entrepot.access.issue_tokens import Issued, IssueTokens
from entrepot.access.key_set import KeySet
from entrepot.access.keyring import Keyring, Rotation
from entrepot.access.login_states import LoginStates
from entrepot.access.onboarding import Onboarding
from entrepot.access.passwords import Passwords, generate_password
from entrepot.access.port import Clock, Projects, StoredUser, Users
from entrepot.access.principals import ANONYMOUS, Caller, Principal, PrincipalKind
from entrepot.access.rights import CATALOG, METRICS, Action, Grant, Resource, ResourceKind
from entrepot.access.scopes import Scope, parse_scopes, render_scopes
from entrepot.access.sealing import SealInvalid, is_sealed, seal, unseal
from entrepot.access.secret import Secret
from entrepot.access.signing_key import SigningKey, SigningKeyInvalid
from entrepot.access.stored_credentials import LiveCredentials, StoredCredentials
from entrepot.access.tokens import SKEW_AT_MOST, IssuedToken, TokenIssuer, TokenVerifier
from entrepot.access.workload_logins import WorkloadLogins

__all__ = [
    "ADMIN",
    "ANONYMOUS",
    "CATALOG",
    "METRICS",
    "SKEW_AT_MOST",
    "AccountNameTaken",
    "Action",
    "AnonymousAccess",
    "Authenticator",
    "Authorizer",
    "Caller",
    "ChallengeError",
    "ClientCertificate",
    "ClientIdentity",
    "Clock",
    "CodeLogins",
    "Credential",
    "CredentialKind",
    "DatabaseProjects",
    "DatabaseUsers",
    "DeviceLogins",
    "ExternalLogins",
    "FirstPasswordMissing",
    "Grant",
    "IssueTokens",
    "Issued",
    "IssuedToken",
    "KeySet",
    "Keyring",
    "LiveCredentials",
    "LoginDenied",
    "LoginExpired",
    "LoginPending",
    "LoginPendingSlower",
    "LoginStates",
    "LoginUnavailable",
    "Onboarding",
    "PasswordFileUnusable",
    "Passwords",
    "Principal",
    "PrincipalKind",
    "Projects",
    "RememberedLogins",
    "Resource",
    "ResourceKind",
    "Rotation",
    "Rules",
    "Scope",
    "SealInvalid",
    "Secret",
    "SigningKey",
    "SigningKeyInvalid",
    "StoredCredentials",
    "StoredUser",
    "TokenIssuer",
    "TokenVerifier",
    "Users",
    "WorkloadLogins",
    "basic_challenge",
    "bearer_challenge",
    "decide",
    "ensure_admin",
    "generate_password",
    "identity_of",
    "is_sealed",
    "parse_scopes",
    "render_scopes",
    "seal",
    "unseal",
]
