"""Who may do what: identities, credentials, tokens, and the one decision."""

from entrepot.access.authenticate import Authenticator
from entrepot.access.authorize import Authorizer
from entrepot.access.challenge import ChallengeError, basic_challenge, bearer_challenge
from entrepot.access.database_projects import DatabaseProjects
from entrepot.access.database_users import DatabaseUsers
from entrepot.access.decide import AnonymousAccess, Rules, decide
from entrepot.access.first_admin import ADMIN, FirstPasswordMissing, PasswordFileUnusable, ensure_admin
from entrepot.access.key_set import KeySet
from entrepot.access.keyring import Keyring, Rotation
from entrepot.access.passwords import Passwords, generate_password
from entrepot.access.port import Clock, Projects, StoredUser, Users
from entrepot.access.principals import ANONYMOUS, Caller, Principal, PrincipalKind
from entrepot.access.rights import CATALOG, METRICS, Action, Grant, Resource, ResourceKind
from entrepot.access.scopes import Scope, parse_scopes, render_scopes
from entrepot.access.sealing import SealInvalid, is_sealed, seal, unseal
from entrepot.access.secret import Secret
from entrepot.access.signing_key import SigningKey, SigningKeyInvalid
from entrepot.access.tokens import SKEW_AT_MOST, IssuedToken, TokenIssuer, TokenVerifier

__all__ = [
    "ADMIN",
    "ANONYMOUS",
    "CATALOG",
    "METRICS",
    "SKEW_AT_MOST",
    "Action",
    "AnonymousAccess",
    "Authenticator",
    "Authorizer",
    "Caller",
    "ChallengeError",
    "Clock",
    "DatabaseProjects",
    "DatabaseUsers",
    "FirstPasswordMissing",
    "Grant",
    "IssuedToken",
    "KeySet",
    "Keyring",
    "PasswordFileUnusable",
    "Passwords",
    "Principal",
    "PrincipalKind",
    "Projects",
    "Resource",
    "ResourceKind",
    "Rotation",
    "Rules",
    "Scope",
    "SealInvalid",
    "Secret",
    "SigningKey",
    "SigningKeyInvalid",
    "StoredUser",
    "TokenIssuer",
    "TokenVerifier",
    "Users",
    "basic_challenge",
    "bearer_challenge",
    "decide",
    "ensure_admin",
    "generate_password",
    "is_sealed",
    "parse_scopes",
    "render_scopes",
    "seal",
    "unseal",
]
