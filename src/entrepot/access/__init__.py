"""Who may do what: identities, credentials, tokens, and the one decision."""

from entrepot.access.authenticate import Authenticator, claimed_name
from entrepot.access.authorize import Authorizer
from entrepot.access.challenge import ChallengeError, basic_challenge, bearer_challenge
from entrepot.access.client_certificates import ClientCertificate, ClientIdentity, identity_of
from entrepot.access.code_logins import CodeLogins
from entrepot.access.credentials import Credential, CredentialKind
from entrepot.access.database_projects import DatabaseProjects
from entrepot.access.database_standings import DatabaseStandings
from entrepot.access.database_users import DatabaseUsers
from entrepot.access.decide import AnonymousAccess, Decision, Ground, Rules, decide, literals
from entrepot.access.device_logins import DeviceLogins
from entrepot.access.errors import (
    AccountNameTaken,
    LastAdministrator,
    LoginDenied,
    LoginExpired,
    LoginPending,
    LoginPendingSlower,
    LoginUnavailable,
    NameTaken,
    NameUnknownHere,
    NameUnsuitable,
    ProjectHasContent,
    RoleInUse,
    VersionMismatch,
)
from entrepot.access.external_logins import ExternalLogins, RememberedLogins
from entrepot.access.first_admin import ADMIN, FirstPasswordMissing, PasswordFileUnusable, ensure_admin
from entrepot.access.htpasswd import (
    HTPASSWD_BYTES_AT_MOST,
    HTPASSWD_USERS_AT_MOST,
    HashedUser,
    RefusedLine,
    parse_htpasswd,
)
from entrepot.access.issue_tokens import Issued, IssueTokens
from entrepot.access.key_files import KeyFile
from entrepot.access.key_set import KeySet
from entrepot.access.keyring import Keyring, Rotation
from entrepot.access.limits import Limit, limit_of, limits_from_json, limits_to_json
from entrepot.access.login_states import LoginStates
from entrepot.access.onboarding import Onboarding
from entrepot.access.passwords import Passwords, generate_password
from entrepot.access.patterns import EVERY_REPOSITORY, PatternInvalid, RepositoryPattern
from entrepot.access.port import Clock, Projects, StoredUser, Users
from entrepot.access.principals import ANONYMOUS, Caller, Principal, PrincipalKind
from entrepot.access.rights import ADMINISTRATION, CATALOG, METRICS, Action, Grant, Resource, ResourceKind
from entrepot.access.roles import BUILT_IN_ROLES
from entrepot.access.scopes import Scope, parse_scopes, render_scopes
from entrepot.access.sealing import SealInvalid, is_sealed, seal, unseal
from entrepot.access.signing_key import SigningKey, SigningKeyInvalid
from entrepot.access.standing import DEFAULT_PROJECT, Binding, Places, Standing
from entrepot.access.stored_credentials import LiveCredentials, StoredCredentials
from entrepot.access.throttle import DatabaseThrottle
from entrepot.access.tokens import SKEW_AT_MOST, IssuedToken, TokenIssuer, TokenVerifier
from entrepot.access.trail import Refused, Trail
from entrepot.access.workload_logins import WorkloadLogins
from entrepot.secrets import Secret

__all__ = [
    "ADMIN",
    "ADMINISTRATION",
    "ANONYMOUS",
    "BUILT_IN_ROLES",
    "CATALOG",
    "DEFAULT_PROJECT",
    "EVERY_REPOSITORY",
    "HTPASSWD_BYTES_AT_MOST",
    "HTPASSWD_USERS_AT_MOST",
    "METRICS",
    "SKEW_AT_MOST",
    "AccountNameTaken",
    "Action",
    "AnonymousAccess",
    "Authenticator",
    "Authorizer",
    "Binding",
    "Caller",
    "ChallengeError",
    "ClientCertificate",
    "ClientIdentity",
    "Clock",
    "CodeLogins",
    "Credential",
    "CredentialKind",
    "DatabaseProjects",
    "DatabaseStandings",
    "DatabaseThrottle",
    "DatabaseUsers",
    "Decision",
    "DeviceLogins",
    "ExternalLogins",
    "FirstPasswordMissing",
    "Grant",
    "Ground",
    "HashedUser",
    "IssueTokens",
    "Issued",
    "IssuedToken",
    "KeyFile",
    "KeySet",
    "Keyring",
    "LastAdministrator",
    "Limit",
    "LiveCredentials",
    "LoginDenied",
    "LoginExpired",
    "LoginPending",
    "LoginPendingSlower",
    "LoginStates",
    "LoginUnavailable",
    "NameTaken",
    "NameUnknownHere",
    "NameUnsuitable",
    "Onboarding",
    "PasswordFileUnusable",
    "Passwords",
    "PatternInvalid",
    "Places",
    "Principal",
    "PrincipalKind",
    "ProjectHasContent",
    "Projects",
    "Refused",
    "RefusedLine",
    "RememberedLogins",
    "RepositoryPattern",
    "Resource",
    "ResourceKind",
    "RoleInUse",
    "Rotation",
    "Rules",
    "Scope",
    "SealInvalid",
    "Secret",
    "SigningKey",
    "SigningKeyInvalid",
    "Standing",
    "StoredCredentials",
    "StoredUser",
    "TokenIssuer",
    "TokenVerifier",
    "Trail",
    "Users",
    "VersionMismatch",
    "WorkloadLogins",
    "basic_challenge",
    "bearer_challenge",
    "claimed_name",
    "decide",
    "ensure_admin",
    "generate_password",
    "identity_of",
    "is_sealed",
    "limit_of",
    "limits_from_json",
    "limits_to_json",
    "literals",
    "parse_htpasswd",
    "parse_scopes",
    "render_scopes",
    "seal",
    "unseal",
]
