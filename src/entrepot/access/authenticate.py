"""Who sends a request, from its ``Authorization`` header (RFC 7617 Basic, RFC 6750 Bearer)."""

import base64

from entrepot.access.credentials import CredentialKind, looks_like_a_credential
from entrepot.access.external_logins import ExternalLogins
from entrepot.access.key_files import JSON_KEY, KeyFile
from entrepot.access.passwords import Passwords
from entrepot.access.port import Credentials, StoredUser, Throttle, Users
from entrepot.access.principals import ANONYMOUS, Caller, Principal, PrincipalKind
from entrepot.access.renew_hashes import RenewHashes
from entrepot.access.tokens import TokenVerifier
from entrepot.oci import Unauthorized
from entrepot.secrets import Secret

AUTHORIZATION_CHARACTERS_AT_MOST = 32 * 1024
USER_NAME_CHARACTERS_AT_MOST = 255

ANY_NAME = "_token"

_ANYONE = Caller(ANONYMOUS, None)


class Authenticator:
    """Checks credentials. Whatever is wrong with them is Unauthorized with a ``reason``; errors of the users propagate.

    The reasons are ``malformed``, ``scheme``, ``credentials`` (alike for a wrong password, an unknown user and a
    disabled one, in time too), those of ``TokenVerifier.verify``, ``StoredCredentials.identify`` and providers.
    """

    def __init__(
        self,
        users: Users,
        passwords: Passwords,
        tokens: TokenVerifier,
        credentials: Credentials,
        external: ExternalLogins,
        throttle: Throttle,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self._credentials = credentials
        self._external = external
        self._throttle = throttle
        self._renew = RenewHashes(users, passwords)

    async def authenticate(self, authorization: str | None, *, address: str = "", expired_too: bool = False) -> Caller:
        """The caller that the header's value stands for; without a header, the anonymous one.

        ``address`` is where it comes from, by which wrong passwords are counted. With ``expired_too`` a token may be
        over, and the caller says so.

        Raises Unauthorized, TooManyRequests when too many passwords wait to be verified or were wrong, Unavailable.
        """
        if authorization is None:
            return _ANYONE
        if len(authorization) > AUTHORIZATION_CHARACTERS_AT_MOST:
            raise Unauthorized(reason="malformed")
        scheme, _, credentials = authorization.strip(" \t").partition(" ")
        match scheme.lower():
            case "bearer":
                return await self.bearer(credentials.lstrip(" "), expired_too=expired_too)
            case "basic":
                return await self.basic(credentials.lstrip(" "), address)
            case _:
                raise Unauthorized(reason="scheme")

    async def basic(self, credentials: str, address: str = "") -> Caller:
        """The caller whose name and password follow the word ``Basic``; both empty is the anonymous one.

        Raises like ``authenticate``.
        """
        name, password = _user_and_password(credentials)
        if not name and not password:
            return _ANYONE
        return await self.password(name, password, address)

    async def password(self, name: str, password: Secret, address: str = "") -> Caller:
        """The caller with this name and this password, or what stands for one.

        ``_json_key`` comes with a robot's key file. A credential of ours, or a token of an issuer, comes with the
        account's name or ``_token``. A name that the database has as a user is never asked for in the directory.

        Raises like ``authenticate``, ProviderUnavailable for those whom only a provider knows.
        """
        if name == JSON_KEY:
            key = KeyFile.parse(password)
            return _named(await self._credentials.identify(key.secret, CredentialKind.SECRET), key.username)
        if looks_like_a_credential(password):
            return await self._stored(name, password)
        if self._external.knows(password):
            robot = None if name == ANY_NAME else name
            return _named(Caller(await self._external.by_token(password, robot), None), name)
        return await self._guessable(name, password, address)

    async def _guessable(self, name: str, password: Secret, address: str) -> Caller:
        """The caller with a password that somebody chose: wrong ones are counted, and wait after a while.

        One that was verified lately passes at once, however many wrong ones came meanwhile.
        """
        user = await self._users.find_by_name(name) if _may_be_a_name(name) else None
        if user is not None and self._passwords.remembers(name, user, password):
            return _caller_of(user)
        if user is None and self._external.remembers(name, password):
            return await self._outside(name, None, password)
        has_failed = await self._throttle.admit(name, address)
        try:
            caller = await self._verified(name, user, password)
        except Unauthorized:
            await self._throttle.failed(name, address)
            raise
        if has_failed:
            await self._throttle.succeeded(name, address)
        return caller

    async def _verified(self, name: str, user: StoredUser | None, password: Secret) -> Caller:
        if user is None or user.password_hash is None:
            return await self._outside(name, user, password)
        if not await self._passwords.verify(name, user, password):
            raise Unauthorized(reason="credentials")
        await self._renew(user, password)
        return _caller_of(user)

    async def _stored(self, name: str, password: Secret) -> Caller:
        caller = await self._credentials.identify(password, CredentialKind.TOKEN, CredentialKind.SECRET)
        return _named(caller, name)

    async def _outside(self, name: str, user: StoredUser | None, password: Secret) -> Caller:
        """Somebody whom the directory knows; for who is not there, the database's hash is computed all the same."""
        if not self._external.has_directory or not _may_be_a_name(name):
            await self._passwords.verify(name, user, password)
            raise Unauthorized(reason="credentials")
        found = await self._external.by_password(name, password)
        if found is None:
            await self._passwords.verify(name, None, password)
            raise Unauthorized(reason="credentials")
        return Caller(found, None)

    async def bearer(self, token: str, *, expired_too: bool = False) -> Caller:
        """The caller whom the token that follows the word ``Bearer`` was issued to; raises Unauthorized."""
        return await self._tokens.verify(token, expired_too=expired_too)


def claimed_name(authorization: str | None) -> str:
    """The name that Basic credentials give, whether they hold or not; empty for none that an account may have."""
    if authorization is None or len(authorization) > AUTHORIZATION_CHARACTERS_AT_MOST:
        return ""
    scheme, _, credentials = authorization.strip(" \t").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        name, _ = _user_and_password(credentials.lstrip(" "))
    except Unauthorized:
        return ""
    return name if _may_be_a_name(name) else ""


def _caller_of(user: StoredUser) -> Caller:
    return Caller(Principal(PrincipalKind.USER, user.id, user.name, user.is_admin), None)


def _named(caller: Caller, name: str) -> Caller:
    """The caller, if it is the one whom the name names; raises Unauthorized."""
    if name not in {ANY_NAME, caller.principal.name}:
        raise Unauthorized(reason="credentials")
    return caller


def _user_and_password(credentials: str) -> tuple[str, Secret]:
    try:
        content = credentials.encode("ascii")
        decoded = base64.b64decode(content, validate=True)
        name, colon, password = decoded.decode("utf-8").partition(":")
    except ValueError:
        raise Unauthorized(reason="malformed") from None
    if not colon or base64.b64encode(decoded) != content:  # the decoder lets surplus padding and bits pass
        raise Unauthorized(reason="malformed")
    return name, Secret(password)


def _may_be_a_name(name: str) -> bool:
    """Whether to ask the users for it at all: a database need not take NUL or endless text."""
    return 0 < len(name) <= USER_NAME_CHARACTERS_AT_MOST and name.isprintable()
