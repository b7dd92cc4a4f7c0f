"""What a principal learns about repositories that it has no right on: nothing, by no answer.

So far every user has the same rights on every repository. These tests give rights by repository, as the one decision
will, and ask the same endpoints over them.
"""

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from entrepot.access import (
    Action,
    AnonymousAccess,
    Authenticator,
    Authorizer,
    DatabaseProjects,
    DatabaseStandings,
    DatabaseThrottle,
    DatabaseUsers,
    ExternalLogins,
    IssueTokens,
    KeySet,
    LiveCredentials,
    Passwords,
    Principal,
    PrincipalKind,
    RememberedLogins,
    Resource,
    Rules,
    Scope,
    Secret,
    SigningKey,
    StoredCredentials,
    TokenIssuer,
    TokenVerifier,
    Trail,
)
from entrepot.compose import administration_of, repositories_of, uses_of
from entrepot.http.addresses import Addresses
from entrepot.http.cursors import Cursors
from entrepot.http.distribution import Context, Distribution, ListLimits
from entrepot.http.door import Door
from entrepot.http.front import front
from entrepot.http.limits import Limits
from entrepot.http.login import Login
from entrepot.http.management import Management, ManagementAPI
from entrepot.http.metrics import Metrics
from entrepot.http.ops import ops_app
from entrepot.http.proxies import TrustedProxies
from entrepot.http.site import Site
from entrepot.http.tokens import GetToken, KeySetPage, PostToken, TokenEndpoint
from entrepot.metadata import (
    Actor,
    Database,
    Transaction,
    add_user,
    find_project_of,
    find_user_by_name,
    open_database,
    upgrade,
)
from entrepot.metadata.tables import repositories
from entrepot.oci import RepositoryName
from entrepot.settings import load_settings
from entrepot.storage import MemoryBlobStore
from harness.protocol import EMPTY, OCI_MANIFEST, digest_of, image

RIGHTS = {
    "owner": {name: {Action.PULL, Action.PUSH, Action.DELETE} for name in ("open", "closed", "target")},
    "guest": {"open": {Action.PULL}, "target": {Action.PULL, Action.PUSH, Action.DELETE}, "drop": {Action.PUSH}},
}
SERVICE = "entrepot"


class RightsByRepository(Authorizer):
    """The table above instead of the one decision; everything else as it is."""

    @override
    async def principal_allows(
        self, principal: Principal, action: Action, resource: Resource, access_version: int
    ) -> bool:
        if resource == Resource(resource.kind, "catalog"):
            return True
        return action in RIGHTS.get(principal.name, {}).get(resource.name, set())

    @override
    async def prefixes(self, principal: Principal, action: Action, access_version: int) -> list[str]:
        return [""]


class House:
    """An application in memory, with tokens for its users."""

    def __init__(
        self, app: httpx.ASGITransport, issuer: TokenIssuer, database: Database, ids: dict[str, str], project: str
    ) -> None:
        self.database = database
        self._app = app
        self._issuer = issuer
        self._ids = ids
        self._project = project

    def client(self, user: str, *scopes: tuple[str, Action]) -> httpx.AsyncClient:
        """A client with a token for exactly these scopes."""
        granted = [
            Scope(Resource.repository(RepositoryName(name)), frozenset({action}), self._project)
            for name, action in scopes
        ]
        principal = Principal(PrincipalKind.USER, self._ids[user], user)
        token = self._issuer.issue(principal, granted).token.reveal()
        return httpx.AsyncClient(
            transport=self._app, base_url="http://registry.example", headers={"Authorization": f"Bearer {token}"}
        )

    def user(self, user: str) -> httpx.AsyncClient:
        """A client with a password, so that all rights of its user count."""
        return httpx.AsyncClient(transport=self._app, base_url="http://registry.example", auth=(user, user))


async def _add_users(database: Database, passwords: Passwords) -> dict[str, str]:
    ids = {}
    for name in RIGHTS:
        hashed = await passwords.hash(Secret(name))
        await database.write(lambda tx, name=name, hashed=hashed: add_user(tx, name, hashed, is_admin=False))  # type: ignore[misc]
        row = await database.read(lambda tx, name=name: find_user_by_name(tx, name))  # type: ignore[misc]
        assert row is not None
        ids[name] = row.uid
    return ids


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House, None]:
    """A registry with two users, a blob in each of the owner's repositories, and an image in ``closed``."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    config = tmp_path / "entrepot.toml"
    config.write_text("", encoding="utf-8")
    settings = load_settings({"data": str(tmp_path)}, {}, config).settings
    database, passwords, keys = open_database(url), Passwords(), KeySet.of(SigningKey.generate())
    users = DatabaseUsers(database)
    issuer = TokenIssuer(keys, issuer=SERVICE, service=SERVICE)
    credentials, external = StoredCredentials(database), ExternalLogins(RememberedLogins())
    tokens = TokenVerifier(keys, issuer=SERVICE, service=SERVICE)
    authenticator = Authenticator(users, passwords, tokens, credentials, external, DatabaseThrottle(database))
    authorizer = RightsByRepository(DatabaseStandings(database), DatabaseProjects(database), AnonymousAccess.NONE)
    issue = IssueTokens(authorizer, issuer, credentials, timedelta(days=30))
    trail = Trail(database)
    addresses = Addresses(None, "", SERVICE)
    context = Context(
        uses_of(settings, database, MemoryBlobStore()),
        Door(authenticator, authorizer, addresses, LiveCredentials(database), credentials, trail),
        addresses,
        ListLimits(100, 1000),
        Cursors(keys),
        4 << 20,
    )
    metrics = Metrics()
    site = Site(
        Distribution(context),
        TokenEndpoint(
            GetToken(authenticator, credentials, issue, SERVICE, trail),
            PostToken(authenticator, credentials, external, None, issue, SERVICE, trail),
        ),
        KeySetPage(keys),
        Login(None, None, addresses),
        ManagementAPI(
            Management(
                administration_of(database, passwords, authorizer),
                repositories_of(settings, database),
                authenticator,
                credentials,
                addresses,
                Cursors(keys),
                keys,
                Rules(),
                trail,
            )
        ),
        ops_app(checks={}, metrics=metrics, gauges=[]),
        "",
    )
    app = front(site, limits=Limits(), metrics=metrics, proxies=TrustedProxies())
    project = await database.read(lambda tx: find_project_of(tx, RepositoryName("open")).uid)
    made = House(httpx.ASGITransport(app), issuer, database, await _add_users(database, passwords), project)
    async with made.user("owner") as owner:
        for name in RIGHTS["owner"]:
            for content in (EMPTY, name.encode()):
                answer = await owner.post(
                    f"/v2/{name}/blobs/uploads/", params={"digest": digest_of(content)}, content=content
                )
                assert answer.status_code == 201
        put = await owner.put("/v2/closed/manifests/v1", json=image(), headers={"Content-Type": OCI_MANIFEST})
        assert put.status_code == 201
    yield made
    await database.close()
    passwords.close()


def _shape(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body without the ids that are random in every answer."""
    headers = {
        name: re.sub(r"[0-9a-f]{32}", "<id>", value) for name, value in answer.headers.items() if name != "x-request-id"
    }
    return answer.status_code, headers, answer.content


async def test_a_mount_that_cannot_be_tells_nothing(house: House) -> None:
    """No right on the source, no such blob there, no such repository: the same 202 with an upload session."""
    asked = [
        (digest_of(b"closed"), "closed"),
        (digest_of(b"nowhere"), "closed"),
        (digest_of(b"closed"), "open"),
        (digest_of(b"closed"), "absent"),
        (digest_of(b"closed"), None),
        (digest_of(b"nowhere"), None),
    ]
    async with house.user("guest") as guest:
        answers = [
            await guest.post(
                "/v2/target/blobs/uploads/", params={"mount": digest, **({"from": source} if source else {})}
            )
            for digest, source in asked
        ]
        plain = await guest.post("/v2/target/blobs/uploads/")
        taken = await guest.post("/v2/target/blobs/uploads/", params={"mount": digest_of(b"open"), "from": "open"})

    assert {answer.status_code for answer in answers} == {202}
    assert all(_shape(answer) == _shape(plain) for answer in answers)
    assert taken.status_code == 201


async def test_a_mount_without_source_takes_what_the_token_carries(house: House) -> None:
    """Without ``from``, only repositories that the request may pull count, by right and by token."""
    push, pull = ("target", Action.PUSH), ("open", Action.PULL)
    params = {"mount": digest_of(b"open")}
    async with house.client("guest", push) as narrow, house.client("guest", push, pull) as wide:
        assert (await narrow.post("/v2/target/blobs/uploads/", params=params)).status_code == 202
        assert (await wide.post("/v2/target/blobs/uploads/", params=params)).status_code == 201


async def test_a_mount_asks_for_what_the_token_lacks(house: House) -> None:
    """Only a right that the principal has is asked for; one that it lacks is never named."""
    async with house.client("guest", ("target", Action.PUSH)) as guest:
        could = await guest.post("/v2/target/blobs/uploads/", params={"mount": digest_of(b"x"), "from": "open"})
        never = await guest.post("/v2/target/blobs/uploads/", params={"mount": digest_of(b"x"), "from": "closed"})

    assert could.status_code == 401
    challenge = could.headers["www-authenticate"]
    assert 'scope="repository:target:pull,push repository:open:pull"' in challenge
    assert 'error="insufficient_scope"' in challenge
    assert never.status_code == 202


async def test_no_mount_without_push_on_the_target(house: House) -> None:
    """Who may not push is refused before anything is looked for."""
    async with house.user("guest") as guest:
        answers = [
            await guest.post(f"/v2/{target}/blobs/uploads/", params={"mount": digest_of(content), "from": "open"})
            for target in ("open", "closed", "absent")
            for content in (b"open", b"nowhere")
        ]

    assert {answer.status_code for answer in answers} == {403}
    assert {answer.json()["errors"][0]["code"] for answer in answers} == {"DENIED"}


REQUESTS = [
    ("GET", "manifests/v1"),
    ("HEAD", "manifests/v1"),
    ("GET", f"manifests/{digest_of(b'none')}"),
    ("PUT", "manifests/v1"),
    ("DELETE", "manifests/v1"),
    ("GET", f"blobs/{digest_of(EMPTY)}"),
    ("HEAD", f"blobs/{digest_of(EMPTY)}"),
    ("DELETE", f"blobs/{digest_of(EMPTY)}"),
    ("POST", "blobs/uploads/"),
    ("GET", "blobs/uploads/" + "0" * 32),
    ("PATCH", "blobs/uploads/" + "0" * 32),
    ("PUT", f"blobs/uploads/{'0' * 32}?digest={digest_of(EMPTY)}"),
    ("DELETE", "blobs/uploads/" + "0" * 32),
    ("GET", "tags/list"),
    ("GET", f"referrers/{digest_of(EMPTY)}"),
]


async def test_what_is_denied_and_what_is_absent_are_alike(house: House) -> None:
    """403 with the same headers and body, but for the name, whether or not the repository exists."""
    async with house.user("guest") as guest:
        for method, rest in REQUESTS:
            closed, absent = [await guest.request(method, f"/v2/{name}/{rest}") for name in ("closed", "absent")]

            assert (method, rest, closed.status_code, absent.status_code) == (method, rest, 403, 403)
            first, second = _shape(closed), _shape(absent)
            assert first[1] == second[1]
            assert first[2] == second[2].replace(b"absent", b"closed")


async def test_without_credentials_everything_is_asked_to_log_in(house: House) -> None:
    """401 with a challenge for exactly what the request needs, whether or not the repository exists."""
    async with house.client("guest") as nobody:
        del nobody.headers["Authorization"]
        for method, rest in REQUESTS:
            closed, absent = [await nobody.request(method, f"/v2/{name}/{rest}") for name in ("closed", "absent")]

            assert (method, rest, closed.status_code, absent.status_code) == (method, rest, 401, 401)
            needed = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(method, "pull,push")
            scope = "repository:closed:" + ("pull,push" if "uploads" in rest else needed)
            expected = f'Bearer realm="http://registry.example/token",service="entrepot",scope="{scope}"'
            assert closed.headers["www-authenticate"] == expected
            assert absent.headers["www-authenticate"] == expected.replace("closed", "absent")


async def test_what_is_allowed_and_absent_is_404(house: House) -> None:
    """Who may pull is told that there is no such repository, or no such thing in it."""
    async with house.user("guest") as guest:
        await guest.post("/v2/target/blobs/uploads/")
        found = {
            path: await guest.get(f"/v2/{path}")
            for path in ("open/manifests/v1", f"open/blobs/{digest_of(b'x')}", f"open/manifests/{digest_of(b'x')}")
        }
    assert {path: answer.json()["errors"][0]["code"] for path, answer in found.items()} == {
        "open/manifests/v1": "MANIFEST_UNKNOWN",
        f"open/blobs/{digest_of(b'x')}": "BLOB_UNKNOWN",
        f"open/manifests/{digest_of(b'x')}": "MANIFEST_UNKNOWN",
    }
    assert {answer.status_code for answer in found.values()} == {404}


async def test_the_catalog_shows_what_may_be_pulled(house: House) -> None:
    """Repositories without the right to pull are left out, and no page has a gap for them."""
    async with house.user("guest") as guest, house.user("owner") as owner:
        assert (await guest.get("/v2/_catalog")).json() == {"repositories": ["open", "target"]}
        assert (await owner.get("/v2/_catalog")).json() == {"repositories": ["closed", "open", "target"]}
        first = await guest.get("/v2/_catalog", params={"n": "1"})
        second = await guest.get(first.headers["link"].partition(">")[0].lstrip("<"))

    assert [first.json(), second.json()] == [{"repositories": ["open"]}, {"repositories": ["target"]}]
    assert "link" not in second.headers


async def test_a_page_of_the_catalog_costs_a_bounded_number_of_rows(house: House) -> None:
    """Behind thousands of closed repositories the list goes on in another page; the link tells none of their names."""

    def add_many(tx: Transaction) -> None:
        made = Actor("user", "u", "u").columns("created_by")
        rows = [
            {
                "project_id": 1,
                "name": f"hidden/{number}",
                "kind": "hosted",
                "state": "active",
                "created_at": tx.now,
                **made,
            }
            for number in range(10_500)
        ]
        tx.execute(repositories.insert(), rows)

    await house.database.write(add_many)
    pages = []
    async with house.user("guest") as guest:
        url: str | None = "/v2/_catalog?n=1"
        while url is not None:
            answer = await guest.get(url)
            pages.append(answer.json()["repositories"])
            url = answer.headers["link"].partition(">")[0].lstrip("<") if "link" in answer.headers else None
            assert "hidden" not in answer.headers.get("link", "")
        forged = [await guest.get("/v2/_catalog", params={"position": text}) for text in ("hidden", "aGlkZGVu", "\xe9")]

    assert pages == [[], ["open"], ["target"]]
    assert {answer.status_code for answer in forged} == {400}


async def test_who_may_only_push_cannot_read(house: House) -> None:
    """A right to push is no right to pull: what was pushed is not given back."""
    async with house.user("guest") as guest:
        digest = digest_of(b"dropped")
        pushed = await guest.post("/v2/drop/blobs/uploads/", params={"digest": digest}, content=b"dropped")
        assert pushed.status_code == 201
        for method in ("GET", "HEAD"):
            assert (await guest.request(method, f"/v2/drop/blobs/{digest}")).status_code == 403


async def test_an_index_does_not_open_other_repositories(house: House) -> None:
    """An index that names a manifest of a closed repository, or a subject there, gives no way to it."""
    async with house.user("owner") as owner, house.user("guest") as guest:
        closed = (await owner.head("/v2/closed/manifests/v1")).headers["docker-content-digest"]
        entry = {"mediaType": OCI_MANIFEST, "digest": closed, "size": 1}
        put = await guest.put(
            "/v2/target/manifests/all",
            json={"schemaVersion": 2, "manifests": [entry], "subject": entry},
            headers={"Content-Type": "application/vnd.oci.image.index.v1+json"},
        )
        assert put.status_code == 201
        assert (await guest.get(f"/v2/target/manifests/{closed}")).status_code == 404
        assert (await guest.get(f"/v2/closed/referrers/{closed}")).status_code == 403
        assert (await owner.get(f"/v2/closed/referrers/{closed}")).json()["manifests"] == []
