"""Logging in against OpenLDAP: search and bind, groups, TLS, and what people type to get in without a password."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta

import ldap3
import pytest

from access.conftest import Clocks
from entrepot.access import Secret
from entrepot.access.providers import ExternalIdentity, IdentityRefused, LdapAccess, LdapDirectory, ProviderUnavailable
from entrepot.oci import TooManyRequests
from harness.ports import free_port
from harness.slapd import BASE_DN, GROUPS_DN, PEOPLE_DN, SEARCH_DN, SEARCH_PASSWORD, Slapd

PASSWORD = "correct horse"
BY_MEMBER = "(member={dn})"
MANAGE_REFERRALS = [("2.16.840.1.113730.3.4.2", True, None)]  # RFC 3296


class Directories:
    """Makes directories of the server, and closes them."""

    def __init__(self, server: Slapd) -> None:
        self._server = server
        self._made: list[LdapDirectory] = []

    def __call__(self, clock: Clocks | None = None, /, **changes: object) -> LdapDirectory:
        """A directory with StartTLS, searched by its own account, with these changes."""
        given: dict[str, object] = {
            "url": self._server.url,
            "base_dn": BASE_DN,
            "bind_dn": SEARCH_DN,
            "bind_password": Secret(SEARCH_PASSWORD),
            "ca": self._server.certificates.authority,
            **changes,
        }
        access = LdapAccess(**given)  # type: ignore[arg-type]
        directory = LdapDirectory(access, clock=clock or time.monotonic)
        self._made.append(directory)
        return directory

    async def close(self) -> None:
        """Close those that were made."""
        for directory in self._made:
            await directory.close()


@pytest.fixture
async def directory(slapd: Slapd) -> AsyncGenerator[Directories, None]:
    """Directories of the server, for a test."""
    made = Directories(slapd)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture(scope="module")
def people(slapd: Slapd) -> Slapd:
    """The server with alice, in two groups, and bob, in none."""
    alice = slapd.add_person("alice", PASSWORD)
    slapd.add_person("bob", "bob's own")
    slapd.add_group("developers", alice)
    slapd.add_group("admins", alice)
    return slapd


@contextlib.contextmanager
def scripted_server(answer: bytes) -> Generator[tuple[int, bytearray], None, None]:
    """A server that answers the first message with these bytes and hangs up: its port, and what it was sent."""
    said = bytearray()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(2)
                said.extend(connection.recv(65536))
                connection.sendall(answer)
                while chunk := connection.recv(65536):
                    said.extend(chunk)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], said
        finally:
            thread.join()


async def unavailable(directory: LdapDirectory) -> object:
    """The reason why nobody can log in."""
    with pytest.raises(ProviderUnavailable) as caught:
        await directory.verify("alice", Secret(PASSWORD))
    return caught.value.detail["reason"]


@pytest.mark.parametrize("way", ["plain", "start-tls", "tls"])
async def test_search_and_bind(people: Slapd, directory: Directories, way: str) -> None:
    """Name and password bring name, groups and an id that stays; over plain LDAP, StartTLS and TLS."""
    made = {
        "plain": directory(start_tls=False),
        "start-tls": directory(),
        "tls": directory(url=people.tls_url),
    }[way]
    alice = await made.verify("alice", Secret(PASSWORD))
    assert alice is not None
    assert (alice.issuer, alice.name) == (f"ldap:{BASE_DN}", "alice")
    assert alice.groups == {"developers", "admins"}
    assert await made.verify("alice", Secret(PASSWORD)) == alice
    bob = await made.verify("bob", Secret("bob's own"))
    assert bob is not None
    assert bob.groups == frozenset()
    assert bob.subject != alice.subject


async def test_wrong_password_and_unknown_name_are_alike(people: Slapd, directory: Directories) -> None:
    """Neither tells which of the two it was."""
    made = directory()
    assert await made.verify("alice", Secret("wrong")) is None
    assert await made.verify("nobody-here", Secret(PASSWORD)) is None
    assert await made.verify("bob", Secret(PASSWORD)) is None


@pytest.mark.parametrize("password", ["", "\u00ad", "\u200b", "\0", "\udc80", "x" * 1025])
async def test_empty_passwords(people: Slapd, directory: Directories, password: str) -> None:
    """No password, or what normalisation would make one of, is never sent: the server here would let it in."""
    assert unauthenticated_bind_succeeds(people)
    assert await directory(start_tls=False).verify("alice", Secret(password)) is None


def unauthenticated_bind_succeeds(server: Slapd) -> bool:
    """Whether a name with an empty password binds, by a message as it is on the wire (RFC 4511 section 4.2)."""
    name = f"cn=alice,{PEOPLE_DN}".encode()
    request = b"\x02\x01\x03\x04" + bytes([len(name)]) + name + b"\x80\x00"
    message = b"\x02\x01\x01\x60" + bytes([len(request)]) + request
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"\x30" + bytes([len(message)]) + message)
        return b"\x0a\x01\x00" in connection.recv(100)


@pytest.mark.parametrize(
    "name",
    ["*", "a*", "alice)(uid=*", "*)(uid=*))(|(uid=*", "alice\0", "\\2a", "alice)(&", "a\\6cice", "ali{dn}ce", "(", ""],
)
async def test_filter_injection(people: Slapd, directory: Directories, name: str) -> None:
    """What is typed as a name is a value in the filter, never a part of it (RFC 4515)."""
    for password in (PASSWORD, "bob's own"):
        assert await directory(start_tls=False).verify(name, Secret(password)) is None


@pytest.mark.parametrize("name", ['Smith, "J" + co; <x>=#1\\', "#sharp", " ünïcode 名 ".strip(), "a)(b*"])
async def test_names_with_the_grammars_own_characters(slapd: Slapd, directory: Directories, name: str) -> None:
    """Who is called like a distinguished name or a filter logs in like everybody else."""
    member = slapd.add_person(name, PASSWORD)
    slapd.add_group(f"group of {name}", member)
    for changes in ({}, {"group_filter": BY_MEMBER}):
        identity = await directory(start_tls=False, **changes).verify(name, Secret(PASSWORD))
        assert identity is not None
        assert identity.name == name
        assert identity.groups == {f"group of {name}"}


async def test_two_of_one_name(slapd: Slapd, directory: Directories, caplog: pytest.LogCaptureFixture) -> None:
    """A name that means two entries is nobody's, whichever password comes with it; the log says so."""
    slapd.add(f"cn=one,{PEOPLE_DN}", "inetOrgPerson", cn="one", sn="one", uid="twin", userPassword="one")
    slapd.add(f"cn=two,{PEOPLE_DN}", "inetOrgPerson", cn="two", sn="two", uid="twin", userPassword="two")
    with caplog.at_level(logging.WARNING):
        for password in ("one", "two"):
            assert await directory().verify("twin", Secret(password)) is None
    assert "more than one entry" in caplog.text


async def test_somebody_with_two_names(slapd: Slapd, directory: Directories) -> None:
    """An entry whose name attribute has two values names nobody clearly and is refused."""
    slapd.add(f"cn=both,{PEOPLE_DN}", "inetOrgPerson", cn="both", sn="b", uid=["this", "that"], userPassword=PASSWORD)
    with pytest.raises(IdentityRefused) as caught:
        await directory().verify("this", Secret(PASSWORD))
    assert caught.value.detail["reason"] == "name"


async def test_names_are_the_directorys(people: Slapd, directory: Directories) -> None:
    """However a name is typed, it is the directory's spelling that counts."""
    identity = await directory().verify("ALICE", Secret(PASSWORD))
    assert identity is not None
    assert identity.name == "alice"


async def test_whoever_is_renamed_stays_the_same(slapd: Slapd, directory: Directories) -> None:
    """Another name, and another place in the tree, leave the account what it was."""
    dn = slapd.add_person("maiden", PASSWORD)
    before = await directory().verify("maiden", Secret(PASSWORD))
    with slapd.manager() as manager:
        assert manager.modify_dn(dn, "cn=married")
        assert manager.modify(f"cn=married,{PEOPLE_DN}", {"uid": [(ldap3.MODIFY_REPLACE, ["married"])]})
    after = await directory().verify("married", Secret(PASSWORD))
    assert before is not None
    assert after is not None
    assert (after.subject, after.name) == (before.subject, "married")


async def test_groups_by_search(people: Slapd, directory: Directories) -> None:
    """With a filter the groups are searched for, by name or as a whole."""
    found = await directory(group_base_dn=GROUPS_DN, group_filter=BY_MEMBER).verify("alice", Secret(PASSWORD))
    assert found is not None
    assert found.groups == {"developers", "admins"}
    whole = await directory(group_filter="(&(cn=admins)(member={dn}))", group_attribute="dn").verify(
        "alice", Secret(PASSWORD)
    )
    assert whole is not None
    assert whole.groups == {f"cn=admins,{GROUPS_DN}"}


async def test_groups_elsewhere_do_not_count(slapd: Slapd, directory: Directories) -> None:
    """Who may make a group somewhere in the tree, and call it like an important one, gains nothing by it."""
    dn = slapd.add_person("mallory", PASSWORD)
    slapd.add(f"ou=projects,{BASE_DN}", "organizationalUnit", ou="projects")
    slapd.add_group("owners", dn, under=f"ou=projects,{BASE_DN}")
    for changes in ({}, {"group_filter": BY_MEMBER}):
        identity = await directory(group_base_dn=GROUPS_DN, **changes).verify("mallory", Secret(PASSWORD))
        assert identity is not None
        assert identity.groups == frozenset()
    whole = await directory(group_attribute="dn").verify("mallory", Secret(PASSWORD))
    assert whole is not None
    assert whole.groups == {f"cn=owners,ou=projects,{BASE_DN}"}


async def test_referrals_are_not_followed(slapd: Slapd, directory: Directories) -> None:
    """A reference to another server brings no connection there, and no password."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)
        target = f"ldap://127.0.0.1:{other.getsockname()[1]}/{PEOPLE_DN}"
        with slapd.manager() as manager:
            entry = {"ou": "away", "ref": target}
            classes = ["referral", "extensibleObject"]
            assert manager.add(f"ou=away,{BASE_DN}", classes, entry, controls=MANAGE_REFERRALS), manager.result
        try:
            assert await directory().verify("away-only", Secret(PASSWORD)) is None
            assert await unavailable(directory(base_dn=f"ou=away,{BASE_DN}")) == "ldap-search"
            with pytest.raises(TimeoutError):
                other.accept()
        finally:
            with slapd.manager() as manager:
                assert manager.delete(f"ou=away,{BASE_DN}", controls=MANAGE_REFERRALS), manager.result


@pytest.mark.parametrize("trusted", [False, True], ids=["unknown authority", "another name"])
@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
async def test_certificates_are_checked(people: Slapd, directory: Directories, scheme: str, trusted: bool) -> None:
    """A server that cannot prove its name gets no password."""
    url = people.url if scheme == "ldap" else people.tls_url
    made = directory(url=url.replace("127.0.0.1", "localhost")) if trusted else directory(url=url, ca=None)
    assert await unavailable(made) == "ldap-tls"


async def test_start_tls_is_not_left_out(directory: Directories) -> None:
    """A server that declines StartTLS, as somebody in between would, gets no bind."""
    declined = bytes.fromhex("300c020101780702010204000400")  # protocolError
    with scripted_server(declined) as (port, said):
        assert await unavailable(directory(url=f"ldap://127.0.0.1:{port}")) in {"ldap-tls", "ldap-connection"}
        assert SEARCH_PASSWORD.encode() not in said
        assert said


async def test_answers_that_are_no_ldap(directory: Directories) -> None:
    """A server that speaks something else lets nobody in."""
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"0\x03\x02\x01\x01", b"\x30\x84\xff\xff\xff\xff", b""):
        with scripted_server(answer) as (port, _):
            made = directory(url=f"ldap://127.0.0.1:{port}", start_tls=False, timeout=timedelta(seconds=1))
            assert str(await unavailable(made)).startswith("ldap-")


async def test_a_wrong_password_of_the_search_account(people: Slapd, directory: Directories) -> None:
    """That nobody can search is no wrong password of the one who logs in."""
    assert await unavailable(directory(bind_password=Secret("wrong"))) == "ldap-credentials"


async def test_a_base_that_is_not_there(people: Slapd, directory: Directories) -> None:
    """A directory that is set up wrongly is unavailable, rather than without people."""
    assert await unavailable(directory(base_dn="ou=elsewhere,dc=example,dc=com")) == "ldap-search"


async def test_nobody_listens(directory: Directories, caplog: pytest.LogCaptureFixture) -> None:
    """Without a server nobody gets in; after the first failure nobody tries for five seconds, then one does."""
    clock, port = Clocks(), free_port()
    made = directory(clock, url=f"ldap://127.0.0.1:{port}")
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            assert await unavailable(made) == "ldap-connection"
    assert [f"127.0.0.1:{port}" in message for message in caplog.messages] == [True]
    clock.now += 5
    assert await unavailable(made) == "ldap-connection"


async def test_a_silent_server_holds_nobody_for_long(directory: Directories) -> None:
    """Of many logins at a server that says nothing all end within two time-outs, and later ones end at once."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        url = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        made = directory(url=url, timeout=timedelta(seconds=1))
        began = time.monotonic()
        outcomes = await asyncio.gather(*(unavailable(made) for _ in range(60)))
        assert time.monotonic() - began < 3
        assert set(map(str, outcomes)) <= {"ldap-timeout", "ldap-connection"}
        began = time.monotonic()
        await unavailable(made)
        assert time.monotonic() - began < 0.2


async def test_more_logins_than_can_wait(directory: Directories) -> None:
    """Beyond 128 logins under way and waiting the next are told to come later."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        url = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        made = directory(url=url, timeout=timedelta(milliseconds=500))
        logins = (made.verify("alice", Secret(PASSWORD)) for _ in range(140))
        outcomes = await asyncio.gather(*logins, return_exceptions=True)
    assert sum(isinstance(one, TooManyRequests) for one in outcomes) == 12
    assert sum(isinstance(one, ProviderUnavailable) for one in outcomes) == 128


async def test_many_logins_at_once(people: Slapd, directory: Directories) -> None:
    """Logins side by side do not get into one another's way, and the event loop goes on meanwhile."""
    made = directory()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - began)

    watching = asyncio.create_task(watch())
    passwords = [PASSWORD, "wrong"] * 25
    found = await asyncio.gather(*(made.verify("alice", Secret(password)) for password in passwords))
    watching.cancel()
    assert [one is not None for one in found] == [True, False] * 25
    assert longest < 0.5


async def test_a_directory_that_is_closed(people: Slapd, directory: Directories) -> None:
    """After the end no login begins."""
    made = directory()
    await made.close()
    assert await unavailable(made) == "ldap-closed"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://ldap.example.com"},
        {"url": "ldap://"},
        {"url": "ldap://user@host"},
        {"url": "ldap://host/dc=x?cn"},
        {"user_filter": "(uid=alice)"},
        {"user_filter": "(uid={username}"},
        {"user_filter": "uid={username}"},
        {"group_filter": "(objectClass=*)"},
        {"base_dn": "nonsense"},
    ],
)
def test_settings_that_mean_nothing(slapd: Slapd, changes: dict[str, str]) -> None:
    """A URL, filter or name that is none is refused before anyone logs in."""
    with pytest.raises(ValueError, match="wants"):
        Directories(slapd)(**changes)


async def test_an_identity_keeps_the_password_to_itself(people: Slapd, directory: Directories) -> None:
    """Nothing of the password is in what a login returns."""
    identity = await directory().verify("alice", Secret(PASSWORD))
    assert isinstance(identity, ExternalIdentity)
    assert PASSWORD not in repr(identity)
