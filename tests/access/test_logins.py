"""Logins over HTTP at a registry whose people, jobs and passwords others vouch for."""

import asyncio
import base64
import contextlib
import json
import sqlite3
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from entrepot.metadata import Transaction, add_user, open_database
from harness.openid_provider import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, OpenIdServer
from harness.ports import free_port
from harness.protocol import Repository, RunningRegistry, registry_in
from harness.robots import add_robot, disable_account
from harness.scripted_issuer import ScriptedIssuer, running_scripted_issuer
from harness.slapd import BASE_DN, SEARCH_DN, SEARCH_PASSWORD, Slapd

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ALICE, BOB = "u-1", "u-2"


@dataclass(frozen=True)
class Scene:
    """A registry, its provider of people, its issuer of workload tokens, its directory."""

    registry: RunningRegistry
    provider: OpenIdServer
    issuer: ScriptedIssuer
    slapd: Slapd

    def client(self, name: str = "", password: str = "") -> httpx.Client:
        """A client of the registry, with Basic credentials if a name is given."""
        return self.registry.client(auth=(name, password) if name else None)

    def exchange(self, token: str, **fields: str) -> httpx.Response:
        """Exchange a token of another issuer (RFC 8693)."""
        form = {"grant_type": EXCHANGE_GRANT, "subject_token": token, "subject_token_type": JWT, **fields}
        with self.client() as client:
            return client.post("/token", data=form)

    def change(self, unit: Callable[[Transaction], object]) -> None:
        """Change the database."""

        async def write() -> None:
            database = open_database(self.registry.settings.database.reveal())
            await database.write(unit)
            await database.close()

        asyncio.run(write())


class Browser:
    """A browser on its way to a provider and back; it keeps the registry's cookies and follows nothing by itself."""

    def __init__(self, registry: RunningRegistry) -> None:
        self._registry = registry
        self.cookies = SimpleCookie()

    def get(self, path: str, **query: str) -> httpx.Response:
        """Ask the registry with the cookies that it gave."""
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items() if morsel.value)
        with self._registry.client() as client:
            answer = client.get(path, params=query, headers={"Cookie": cookie} if cookie else {})
        for header in answer.headers.get_list("set-cookie"):
            self.cookies.load(header)
        return answer

    def begin(self, return_to: str = "/api") -> str:
        """Begin a login; the address at the provider that the browser is sent to."""
        answer = self.get("/auth/oidc/start", return_to=return_to)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, openid_provider: OpenIdServer, slapd: Slapd
) -> Generator[Scene, None, None]:
    """All of it, as settings make it; alice is an administrator by her group."""
    folder = tmp_path_factory.mktemp("logins")
    with running_scripted_issuer() as issuer:
        tables = f"""
            public_url = "{REDIRECT_URI.removesuffix("/auth/oidc/callback")}"
            [oidc]
            issuer = "{openid_provider.issuer}"
            client_id = "{CLIENT_ID}"
            client_secret = {json.dumps(CLIENT_SECRET)}
            scopes = ["openid", "profile", "groups"]
            admin_group = "admins"
            [ldap]
            url = "{slapd.url}"
            ca_file = "{slapd.certificates.authority}"
            bind_dn = "{SEARCH_DN}"
            bind_password = "{SEARCH_PASSWORD}"
            base_dn = "{BASE_DN}"
            admin_group = "registry-admins"
            [[workload.issuers]]
            issuer = "{issuer.issuer}"
            audience = "entrepot"
            """
        with registry_in(folder, tables) as registry:
            yield Scene(registry, openid_provider, issuer, slapd)


@pytest.fixture
def browser(scene: Scene) -> Browser:
    """Alice's browser."""
    return Browser(scene.registry)


def claims_of(token: str) -> dict[str, object]:
    """The claims of a token, unverified."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert isinstance(claims, dict)
    return claims


def reason_of(answer: httpx.Response, status: int = 401) -> object:
    """Why a request was refused."""
    assert answer.status_code == status, answer.text
    return answer.json()["errors"][0]["detail"]["reason"]


def test_a_browser_logs_in(scene: Scene, browser: Browser) -> None:
    """To the provider, back, and on to where it wanted, with a session that no script and no other site can use."""
    url = browser.begin("/api/v1/whoami?x=1")
    query = dict(parse_qsl(urlsplit(url).query))
    assert query["redirect_uri"] == REDIRECT_URI
    assert query["code_challenge_method"] == "S256"
    login = browser.cookies["entrepot_login"]

    answer = browser.get("/auth/oidc/callback", **scene.provider.log_in(url, ALICE))

    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/api/v1/whoami?x=1"
    assert answer.headers["cache-control"] == "no-store"
    session = browser.cookies["entrepot_session"]
    assert session.value.startswith("ents_")
    for cookie in (login, session):
        assert (cookie["samesite"], cookie["path"]) == ("lax", "/")
        assert cookie["httponly"]
        assert cookie["secure"]
    assert not browser.cookies["entrepot_login"].value


def test_a_session_is_nothing_at_the_registry_itself(scene: Scene, browser: Browser) -> None:
    """A browser's cookie opens nothing under ``/v2/``, and its value is no password, no token, no refresh token."""
    browser.get("/auth/oidc/callback", **scene.provider.log_in(browser.begin(), ALICE))
    session = browser.cookies["entrepot_session"].value

    assert browser.get("/v2/").status_code == 401
    assert browser.get("/token").json()["token"]
    assert claims_of(browser.get("/token").json()["token"])["kind"] == "anonymous"
    with scene.client("alice", session) as client:
        assert client.get("/v2/").status_code == 401
    with scene.registry.client(Authorization=f"Bearer {session}") as client:
        assert client.get("/v2/").status_code == 401
    with scene.client() as client:
        form = {"grant_type": "refresh_token", "refresh_token": session}
        assert client.post("/token", data=form).json()["error"] == "invalid_grant"


def test_a_login_ends_once(scene: Scene, browser: Browser) -> None:
    """State and code that were used are refused, so that a link from somebody's history logs nobody in."""
    came_back = scene.provider.log_in(browser.begin(), ALICE)
    login = browser.cookies["entrepot_login"].value
    assert browser.get("/auth/oidc/callback", **came_back).status_code == 303

    browser.cookies["entrepot_login"] = login
    assert reason_of(browser.get("/auth/oidc/callback", **came_back)) == "state"


def test_a_login_ends_in_the_browser_that_began_it(scene: Scene, browser: Browser) -> None:
    """An attacker's code in a victim's browser (login CSRF), with or without a login of its own there, is refused."""
    attacker, bare = Browser(scene.registry), Browser(scene.registry)
    for victim in (browser, bare):
        came_back = scene.provider.log_in(attacker.begin(), BOB)
        if victim is browser:
            victim.begin()
        answer = victim.get("/auth/oidc/callback", **came_back)
        assert reason_of(answer) == "state"
        assert "entrepot_session" not in victim.cookies


def test_a_provider_that_refuses_logs_nobody_in(scene: Scene, browser: Browser) -> None:
    """An error in place of a code, a made-up code, and a request without state."""
    state = dict(parse_qsl(urlsplit(browser.begin()).query))["state"]
    assert reason_of(browser.get("/auth/oidc/callback", state=state, error="access_denied")) == "provider-refused"
    state = dict(parse_qsl(urlsplit(browser.begin()).query))["state"]
    assert reason_of(browser.get("/auth/oidc/callback", state=state, code="made-up")) == "code"
    assert reason_of(browser.get("/auth/oidc/callback", code="made-up")) == "state"
    assert reason_of(browser.get("/auth/oidc/callback", state="x" * 3000, code="x")) == "state"


@pytest.mark.parametrize(
    "return_to",
    [
        "https://attacker.example/",
        "//attacker.example/",
        "/\\attacker.example/",
        "/\tattacker",
        "/\nSet-Cookie: x=y",
        "\\\\attacker.example",
        "javascript:alert(1)",
        "api",
        "/ //attacker.example",
        "/\u2025",
        "/" + "x" * 3000,
    ],
)
def test_a_login_goes_on_to_this_registry_only(browser: Browser, return_to: str) -> None:
    """Where to go afterwards is a path of this registry: no scheme, no other host, nothing that is read as one."""
    answer = browser.get("/auth/oidc/start", return_to=return_to)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_person_logs_in_by_device(scene: Scene) -> None:
    """A command line shows a code, waits, and gets a token and a refresh token when it was confirmed; once."""
    with scene.client() as client:
        begun = client.post("/auth/device").json()
        form = {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"], "access_type": "offline"}
        waiting = client.post("/token", data=form)
        scene.provider.approve_device(begun["verification_uri_complete"], ALICE)
        done = client.post("/token", data={**form, "scope": "repository:by/device:pull,push", "client_id": "entrepot"})
        again = client.post("/token", data=form)
        refreshed = client.post(
            "/token", data={"grant_type": "refresh_token", "refresh_token": done.json()["refresh_token"]}
        )

    assert set(begun) == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }
    assert (waiting.status_code, waiting.json()["error"]) == (400, "authorization_pending")
    assert claims_of(done.json()["access_token"])["name"] == "alice"
    assert done.json()["scope"] == "repository:by/device:pull,push"  # alice administrates, by her group
    assert (again.status_code, again.json()["error"]) == (400, "expired_token")
    assert claims_of(refreshed.json()["access_token"])["name"] == "alice"


def test_a_device_login_may_be_declined(scene: Scene) -> None:
    """And a code that nobody was given is over."""
    with scene.client() as client:
        begun = client.post("/auth/device").json()
        scene.provider.approve_device(begun["verification_uri_complete"], ALICE, approve=False)
        declined = client.post("/token", data={"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]})
        made_up = client.post("/token", data={"grant_type": DEVICE_GRANT, "device_code": "made-up"})
    assert (declined.status_code, declined.json()["error"]) == (400, "access_denied")
    assert (made_up.status_code, made_up.json()["error"]) == (400, "expired_token")


@pytest.mark.parametrize("name", ["alice", "_token"])
def test_an_id_token_is_a_password(scene: Scene, name: str) -> None:
    """Docker login with the token that the provider gave for this registry; it pushes with the rights of its person."""
    with scene.client(name, scene.provider.id_token(ALICE)) as client:
        assert client.get("/v2/").status_code == 200
        assert Repository(client).push_blob(b"by an id token")
        token = client.get("/token", params={"scope": "repository:a:pull"}).json()["token"]
    assert claims_of(token)["name"] == "alice"


def test_an_id_token_is_for_its_person(scene: Scene) -> None:
    """With somebody else's name it is refused."""
    with scene.client("admin", scene.provider.id_token(ALICE)) as client:
        assert reason_of(client.get("/v2/")) == "credentials"


def test_a_taken_name_is_refused_and_says_so(scene: Scene) -> None:
    """A local account is not taken over by who is called like it at the provider."""
    scene.change(lambda tx: add_user(tx, "bob", "hash", is_admin=True))
    with scene.client("bob", scene.provider.id_token(BOB)) as client:
        answer = client.get("/v2/")
    assert answer.status_code == 403
    assert "another account has the name" in answer.json()["errors"][0]["message"]


@pytest.fixture(scope="module")
def robots(scene: Scene) -> None:
    """Robots that trust jobs of two repositories, of any, and of one, and one that is disabled."""
    issuer = scene.issuer.issuer
    scene.change(lambda tx: add_robot(tx, "app-ci", issuer, {"repository": "team/app"}, {"repository": "team/b"}))
    scene.change(lambda tx: add_robot(tx, "any-ci", issuer, {"repository": "team/*", "ref": "refs/tags/**"}))
    scene.change(lambda tx: add_robot(tx, "left", issuer, {"repository": "team/left"}))
    scene.change(lambda tx: add_robot(tx, "elsewhere", "https://other.example", {"repository": "team/app"}))
    scene.change(lambda tx: disable_account(tx, "left"))


@pytest.mark.usefixtures("robots")
def test_a_job_exchanges_its_token(scene: Scene) -> None:
    """RFC 8693: the token of a job for a token of the robot that trusts it; no refresh token, whatever is asked."""
    token = scene.issuer.mint(repository="team/app")
    answer = scene.exchange(token, scope="repository:team/app:pull", access_type="offline")

    content = answer.json()
    assert answer.status_code == 200, answer.text
    assert content["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert content["token_type"] == "Bearer"
    assert "refresh_token" not in content
    claims = claims_of(content["access_token"])
    assert (claims["kind"], claims["name"], claims["cid"]) == ("robot", "app-ci", "")
    with scene.registry.client(Authorization=f"Bearer {content['access_token']}") as client:
        assert client.get("/v2/").status_code == 200


@pytest.mark.usefixtures("robots")
@pytest.mark.parametrize("name", ["app-ci", "_token"])
def test_a_jobs_token_is_a_password(scene: Scene, name: str) -> None:
    """With the robot's name or with ``_token``."""
    with scene.client(name, scene.issuer.mint(repository="team/b")) as client:
        assert client.get("/v2/").status_code == 200
        assert claims_of(client.get("/token").json()["token"])["name"] == "app-ci"


@pytest.mark.usefixtures("robots")
def test_a_robot_is_named_where_several_trust_a_token(scene: Scene) -> None:
    """Which one is meant is said, never guessed."""
    token = scene.issuer.mint(repository="team/app", ref="refs/tags/v1")
    unnamed, named = scene.exchange(token), scene.exchange(token, username="any-ci")

    assert (unnamed.json()["error"], reason_of(unnamed, 400)) == ("invalid_request", "robot")
    assert claims_of(named.json()["access_token"])["name"] == "any-ci"


@pytest.mark.usefixtures("robots")
@pytest.mark.parametrize(
    ("claims", "fields", "reason"),
    [
        ({"repository": "team/other"}, {}, "trust"),
        ({}, {}, "trust"),
        ({"repository": "team/app"}, {"username": "elsewhere"}, "trust"),
        ({"repository": "team/app"}, {"username": "admin"}, "trust"),
        ({"repository": "team/x/y", "ref": "refs/tags/v1"}, {}, "trust"),
        ({"repository": "team/left"}, {}, "disabled"),
        ({"repository": "team/app", "aud": "others"}, {}, "audience"),
        ({"repository": "team/app", "aud": ["entrepot", "others"]}, {}, "audience"),
        ({"repository": "team/app", "exp": 1}, {}, "expired"),
        ({"repository": "team/app", "iss": "https://other.example"}, {}, "issuer"),
    ],
)
def test_a_job_that_nobody_trusts_is_refused(
    scene: Scene, claims: dict[str, object], fields: dict[str, str], reason: str
) -> None:
    """Each with the reason, as an exchange and as a password."""
    token = scene.issuer.mint_claims(claims)
    answer = scene.exchange(token, **fields)
    assert (reason_of(answer), answer.json()["error"]) == (reason, "invalid_grant")
    with scene.client(fields.get("username", "_token"), token) as client:
        assert reason_of(client.get("/v2/")) in {reason, "credentials"}


def test_other_exchanges_are_refused(scene: Scene) -> None:
    """Types that are not known, an actor, and this registry's own token."""
    token = scene.issuer.mint(repository="team/app")
    assert reason_of(scene.exchange(token, subject_token_type="urn:x"), 400) == "subject-token-type"
    assert reason_of(scene.exchange(token, requested_token_type="urn:x"), 400) == "requested-token-type"
    assert reason_of(scene.exchange(token, actor_token=token), 400) == "actor-token"
    with scene.registry.admin() as admin:
        own = admin.get("/token").json()["token"]
    assert reason_of(scene.exchange(own)) == "issuer"


def test_people_of_the_directory_log_in(scene: Scene) -> None:
    """With their password, by Basic and by form; a member of the admin group pushes."""
    dn = scene.slapd.add_person("dora", "dora's password")
    scene.slapd.add_group("registry-admins", dn)
    with scene.client("dora", "dora's password") as client:
        assert client.get("/v2/").status_code == 200
        assert Repository(client).push_blob(b"by a member")
    with scene.client() as client:
        form = {"grant_type": "password", "username": "dora", "password": "dora's password"}
        assert claims_of(client.post("/token", data=form).json()["access_token"])["name"] == "dora"
    with scene.client("dora", "wrong") as client:
        assert reason_of(client.get("/v2/")) == "credentials"
    with scene.client("nobody-there", "wrong") as client:
        assert reason_of(client.get("/v2/")) == "credentials"


def test_the_directory_is_not_asked_for_local_users(scene: Scene) -> None:
    """Whoever is called ``admin`` in the directory is nobody here: neither are passwords of ours sent there."""
    scene.slapd.add_person("admin", "the directory's")
    with scene.client("admin", "the directory's") as client:
        assert reason_of(client.get("/v2/")) == "credentials"
    with scene.registry.admin() as admin:
        assert admin.get("/v2/").status_code == 200


def test_logins_are_in_the_audit(scene: Scene, browser: Browser) -> None:
    """Who logged in, and which way; and no token lies there."""
    browser.get("/auth/oidc/callback", **scene.provider.log_in(browser.begin(), ALICE))
    with contextlib.closing(sqlite3.connect(scene.registry.settings.data / "entrepot.db")) as database:
        rows = database.execute("SELECT actor_name, detail FROM audit WHERE action = 'login'").fetchall()
    assert ("alice", '{"way": "oidc"}') in rows
    assert not any("eyJ" in detail or "ent" + "s_" in detail for _, detail in rows)


def test_logins_that_wait_are_sealed(scene: Scene, browser: Browser) -> None:
    """Neither state nor verifier lie open in the database, nor the code of a device."""
    state = dict(parse_qsl(urlsplit(browser.begin()).query))["state"]
    with scene.client() as client:
        device = client.post("/auth/device").json()["device_code"]
    content = b"".join(path.read_bytes() for path in scene.registry.settings.data.glob("entrepot.db*"))
    for secret in (state, browser.cookies["entrepot_login"].value, device):
        assert secret.encode() not in content


def test_what_does_not_answer_stops_its_own_logins_only(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With provider and directory gone, theirs are 503 and never an allow, and local logins go on."""
    tables = f"""
        [oidc]
        issuer = "http://127.0.0.1:{free_port()}"
        client_id = "{CLIENT_ID}"
        [ldap]
        url = "ldap://127.0.0.1:{free_port()}"
        base_dn = "{BASE_DN}"
        start_tls = false
        """
    with registry_in(tmp_path_factory.mktemp("gone"), tables) as registry:
        with registry.client(auth=("dora", "dora's password")) as member:
            for path in ("/v2/", "/token"):
                assert reason_of(member.get(path), 503) == "ldap-connection"
                assert member.get(path).headers["retry-after"]
        with registry.client() as client:
            assert client.get("/auth/oidc/start").status_code == 503
            device = client.post("/auth/device")
            form = {"grant_type": "password", "username": "dora", "password": "dora's password"}
            password = client.post("/token", data=form)
        with registry.admin() as admin:
            assert admin.get("/v2/").status_code == 200
            assert Repository(admin).push_blob(b"meanwhile")
    for answer in (device, password):
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


def test_without_providers_their_logins_are_not_offered(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each says so; other paths lead nowhere."""
    with registry_in(tmp_path_factory.mktemp("plain")) as registry, registry.client() as client:
        answers = [
            client.get("/auth/oidc/start"),
            client.get("/auth/oidc/callback", params={"state": "x", "code": "y"}),
            client.post("/auth/device"),
        ]
        assert [reason_of(answer, 400) for answer in answers] == ["oidc", "oidc", "oidc"]
        assert client.get("/auth/other").status_code == 404
        assert client.post("/auth/oidc/start").status_code == 405
