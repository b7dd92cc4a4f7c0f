"""The Authorization header, read strictly."""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace

import bcrypt
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from entrepot.access import (
    ANONYMOUS,
    Authenticator,
    Caller,
    Credential,
    CredentialKind,
    ExternalLogins,
    KeySet,
    Passwords,
    Principal,
    PrincipalKind,
    RememberedLogins,
    Secret,
    SigningKey,
    StoredUser,
    TokenIssuer,
    TokenVerifier,
    parse_scopes,
)
from entrepot.oci import Unauthorized, Unavailable

HASHER = PasswordHasher.from_parameters(CHEAPEST)
ADMIN = StoredUser("u1", "admin", HASHER.hash("pass:word"), is_admin=True, disabled=False)
ANN = StoredUser("u2", "änn", HASHER.hash("p\u00e4ss\x00w\u00f6rd"), is_admin=False, disabled=False)
KEY = SigningKey.generate()


class InMemoryUsers:
    """Users in a dictionary that records who is asked for and can be made unreachable."""

    def __init__(self, *users: StoredUser) -> None:
        self.by_name = {user.name: user for user in users}
        self.asked: list[str] = []
        self.reachable = self.writable = True
        self.renewals = 0

    async def find_by_name(self, name: str) -> StoredUser | None:
        """Likewise."""
        self.asked.append(name)
        if not self.reachable:
            raise Unavailable(reason="database")
        return self.by_name.get(name)

    async def renew_hash(self, user: StoredUser, password_hash: str) -> None:
        """Likewise."""
        if not self.writable:
            raise Unavailable(reason="database")
        self.renewals += 1
        if self.by_name.get(user.name) == user:
            self.by_name[user.name] = replace(user, password_hash=password_hash)


CI = Caller(Principal(PrincipalKind.ROBOT, "r1", "ci"), None, "some-uid")
GOOD = Credential.make(CredentialKind.SECRET)


class InMemoryCredentials:
    """One robot's secret."""

    async def identify(self, text: Secret, *kinds: CredentialKind) -> Caller:
        """Likewise."""
        if text != GOOD.text or CredentialKind.SECRET not in kinds:
            raise Unauthorized(reason="credentials")
        return CI


class NoThrottle:
    """Lets every password be tried."""

    async def admit(self, name: str, address: str) -> bool:
        """Likewise."""
        return False

    async def failed(self, name: str, address: str) -> None:
        """Likewise."""

    async def succeeded(self, name: str, address: str) -> None:
        """Likewise."""


@pytest.fixture
def users() -> InMemoryUsers:
    """An administrator and a user with letters beyond ASCII."""
    return InMemoryUsers(ADMIN, ANN)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    """Passwords with parameters that cost nearly nothing."""
    made = Passwords(CHEAPEST)
    yield made
    made.close()


@pytest.fixture
def authenticator(users: InMemoryUsers, passwords: Passwords) -> Authenticator:
    """What reads the header."""
    tokens = TokenVerifier(KeySet.of(KEY), issuer="registry", service="registry")
    return Authenticator(
        users, passwords, tokens, InMemoryCredentials(), ExternalLogins(RememberedLogins()), NoThrottle()
    )


def basic(credentials: str | bytes) -> str:
    """The header's value for Basic."""
    content = credentials.encode() if isinstance(credentials, str) else credentials
    return "Basic " + base64.b64encode(content).decode()


async def reason_of(authenticator: Authenticator, authorization: str) -> object:
    """Why the header is refused."""
    with pytest.raises(Unauthorized) as refusal:
        await authenticator.authenticate(authorization)
    assert set(refusal.value.detail) == {"reason"}
    return refusal.value.detail["reason"]


async def test_without_a_header_it_is_nobody(authenticator: Authenticator) -> None:
    """No credentials are the anonymous principal with all that it may do."""
    assert await authenticator.authenticate(None) == Caller(ANONYMOUS, None)


async def test_empty_credentials_are_nobody(authenticator: Authenticator, users: InMemoryUsers) -> None:
    """Basic with empty user and password is the anonymous principal; one of them alone is not."""
    assert await authenticator.authenticate(basic(":")) == Caller(ANONYMOUS, None)
    assert users.asked == []
    assert await reason_of(authenticator, basic("admin:")) == "credentials"
    assert await reason_of(authenticator, basic(":pass:word")) == "credentials"


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
@pytest.mark.parametrize("gap", [" ", "   "])
async def test_name_and_password_are_accepted(authenticator: Authenticator, scheme: str, gap: str) -> None:
    """The scheme's case does not matter, and the password goes from the first colon to the end."""
    _, _, credentials = basic("admin:pass:word").partition(" ")

    caller = await authenticator.authenticate(scheme + gap + credentials)

    assert caller == Caller(Principal(PrincipalKind.USER, "u1", "admin", is_admin=True), None)


async def test_names_and_passwords_are_utf8(authenticator: Authenticator) -> None:
    """Letters beyond ASCII and a NUL in the password are as they were set; another encoding is malformed."""
    caller = await authenticator.authenticate(basic("änn:p\u00e4ss\x00w\u00f6rd"))

    assert caller.principal == Principal(PrincipalKind.USER, "u2", "änn")
    assert await reason_of(authenticator, basic("änn:p\u00e4ss".encode("latin-1"))) == "malformed"


@pytest.mark.parametrize(
    "credentials",
    [
        "admin:wrong",
        "admin:pass",
        "admin:pass:word ",
        "admin:pass:word\x00",
        "admin:" + "x" * 5000,
        "Admin:pass:word",
        "admin :pass:word",
        "nobody:pass:word",
        "adm\x00in:pass:word",
        "admin\x00:pass:word",
        "admin\n:pass:word",
        "x" * 5000 + ":pass:word",
    ],
)
async def test_whatever_is_wrong_has_one_answer(authenticator: Authenticator, credentials: str) -> None:
    """A wrong password, an unknown user and an impossible name are told apart by nothing."""
    assert await reason_of(authenticator, basic(credentials)) == "credentials"


async def test_a_disabled_user_has_the_same_answer(authenticator: Authenticator, users: InMemoryUsers) -> None:
    """Disabled between two logins: the right password is refused like a wrong one, remembered or not."""
    await authenticator.authenticate(basic("admin:pass:word"))
    users.by_name["admin"] = replace(ADMIN, disabled=True)
    assert await reason_of(authenticator, basic("admin:pass:word")) == "credentials"


async def test_a_changed_password_counts_at_once(authenticator: Authenticator, users: InMemoryUsers) -> None:
    """The old password, though remembered, is refused after the change."""
    await authenticator.authenticate(basic("admin:pass:word"))
    users.by_name["admin"] = replace(ADMIN, password_hash=HASHER.hash("new"))

    assert await reason_of(authenticator, basic("admin:pass:word")) == "credentials"
    assert (await authenticator.authenticate(basic("admin:new"))).principal.name == "admin"


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a\x1b[31mb", "a\u202eb", "x" * 256])
async def test_impossible_names_are_not_looked_up(
    authenticator: Authenticator, users: InMemoryUsers, name: str
) -> None:
    """A database is not asked for what it need not be able to hold."""
    assert await reason_of(authenticator, basic(f"{name}:x")) == "credentials"
    assert users.asked == []


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YWRtaW4",
        "Basic YWRtaW46cGFzczp3b3Jk==",
        "Basic YWRtaW46cGFz czp3b3Jk",
        "Basic YWRtaW46cGFz\nczp3b3Jk",
        "Basic YWRtaW46cGFzczp3b3Jk, Bearer x",
        "Basic YTpi=YTpi",
        "Basic YTo=YTo=",
        "Basic YTp=",
        "Basic YR==",
        "Basic Og",
        "Basic Oh==",
        "Basic Og==\t\tx",
        "Basic YTpiYQ==YTpi",
        "Basic \u0430\u0430\u0430\u0430",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.urlsafe_b64encode("\u00fb\u00ff:>>>???".encode("utf-16")).decode(),
        "Bearer",
        "Bearer ",
        "Bearer a.b.c",
        "Bearer a b",
        "Bearer " + "x" * 40000,
        "Basic " + "QUFB" * 10000,
        "Basic " + "QUFB" * 1000,
        basic("admin:" + "x" * 40000),
    ],
)
async def test_malformed_headers_are_refused(
    authenticator: Authenticator, users: InMemoryUsers, authorization: str
) -> None:
    """What does not decode to a name, a colon and a password, and what is too long, asks nobody anything."""
    assert await reason_of(authenticator, authorization) == "malformed"
    assert users.asked == []


@pytest.mark.parametrize("authorization", ["", " ", "Digest x", "Negotiate", "BasicYTpi", "Basic\tYTpi", "Bearer\x00x"])
async def test_other_schemes_are_refused(authenticator: Authenticator, authorization: str) -> None:
    """A header that is there but no known scheme is not taken for no header."""
    assert await reason_of(authenticator, authorization) == "scheme"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_token_is_accepted(authenticator: Authenticator, users: InMemoryUsers, scheme: str) -> None:
    """A bearer token is verified without asking for the user, and carries its scopes only."""
    principal = Principal(PrincipalKind.USER, "u1", "admin")
    scopes = parse_scopes(["repository:a:pull"])
    token = TokenIssuer(KeySet.of(KEY), issuer="registry", service="registry").issue(principal, scopes).token.reveal()

    assert await authenticator.authenticate(f"{scheme} {token}") == Caller(principal, scopes[0].grants)
    assert users.asked == []


async def test_a_token_is_no_password(authenticator: Authenticator) -> None:
    """A token is not accepted in the place of a password, nor a password as a token."""
    token = TokenIssuer(KeySet.of(KEY), issuer="registry", service="registry").issue(
        Principal(PrincipalKind.USER, "u1", "admin"), ()
    )
    assert await reason_of(authenticator, basic(f"admin:{token.token.reveal()}")) == "credentials"
    assert await reason_of(authenticator, "Bearer pass:word") == "malformed"


@pytest.mark.parametrize("name", ["ci", "_token"])
async def test_a_credential_stands_for_its_account(
    authenticator: Authenticator, users: InMemoryUsers, name: str
) -> None:
    """A credential of this registry is given as the password, with its account's name or with ``_token``."""
    assert await authenticator.authenticate(basic(f"{name}:{GOOD.text.reveal()}")) == CI
    assert users.asked == []


@pytest.mark.parametrize("name", ["", "admin", "CI", "_token_"])
async def test_a_credential_is_not_for_others(authenticator: Authenticator, name: str) -> None:
    """With somebody else's name it is refused, so that no log tells of somebody who did not log in."""
    assert await reason_of(authenticator, basic(f"{name}:{GOOD.text.reveal()}")) == "credentials"


async def test_what_looks_like_a_credential_is_never_tried_as_a_password(
    authenticator: Authenticator, users: InMemoryUsers
) -> None:
    """A mistyped credential costs no hash and asks for no user."""
    assert await reason_of(authenticator, basic("admin:entr_mistyped")) == "credentials"
    assert users.asked == []


async def test_when_users_cannot_be_read_nobody_is_let_in(authenticator: Authenticator, users: InMemoryUsers) -> None:
    """A failing database is a failure, not a wrong password, even for a remembered one."""
    await authenticator.authenticate(basic("admin:pass:word"))
    users.reachable = False
    with pytest.raises(Unavailable):
        await authenticator.authenticate(basic("admin:pass:word"))


async def test_refusals_show_no_credentials(authenticator: Authenticator) -> None:
    """Neither the message nor the details of any refusal hold what was sent."""
    for authorization in (basic("admin:planted-1"), "Basic planted-1", "Bearer planted-1", "planted-1 x"):
        with pytest.raises(Unauthorized) as refusal:
            await authenticator.authenticate(authorization)
        assert "planted" not in f"{refusal.value} {refusal.value.detail} {refusal.value.__cause__}"


def with_bcrypt(user: StoredUser, password: str) -> StoredUser:
    """The user with a hash by bcrypt."""
    return replace(user, password_hash=bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode())


async def test_a_hash_by_bcrypt_is_renewed_at_a_good_login(
    users: InMemoryUsers, passwords: Passwords, authenticator: Authenticator
) -> None:
    """A wrong password changes nothing; the right one, many times at once, makes one hash by Argon2id of it."""
    users.by_name["admin"] = old = with_bcrypt(ADMIN, "pass:word")
    assert await reason_of(authenticator, basic("admin:wrong")) == "credentials"
    assert users.by_name["admin"] is old

    right = basic("admin:pass:word")
    callers = await asyncio.gather(*(authenticator.authenticate(right) for _ in range(20)))

    assert {caller.principal.id for caller in callers} == {"u1"}
    renewed = users.by_name["admin"]
    assert renewed.password_hash is not None
    assert renewed.password_hash.startswith("$argon2id$")
    assert not passwords.is_outdated(renewed, Secret("pass:word"))
    assert users.renewals == 1
    assert (await authenticator.authenticate(right)).principal.id == "u1"
    assert users.renewals == 1


async def test_a_login_counts_when_its_hash_cannot_be_renewed(
    users: InMemoryUsers, authenticator: Authenticator, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, without the name or the password; the next login tries again."""
    users.by_name["admin"] = with_bcrypt(ADMIN, "pass:word")
    users.writable = False

    assert (await authenticator.authenticate(basic("admin:pass:word"))).principal.id == "u1"

    assert "could not be renewed" in caplog.text
    assert "pass:word" not in caplog.text
    users.writable = True
    users.by_name["admin"] = with_bcrypt(ADMIN, "pass:word")
    assert (await authenticator.authenticate(basic("admin:pass:word"))).principal.id == "u1"
    assert users.renewals == 1
