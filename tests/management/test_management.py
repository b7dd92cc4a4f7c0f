"""What the management API promises beside rights: pages, versions, sessions, secrets that are shown once."""

from collections.abc import Generator
from datetime import timedelta

import httpx
import pytest

from entrepot.access import Caller, CredentialKind, Principal, PrincipalKind, StoredCredentials
from entrepot.metadata import open_database
from harness.protocol import Repository
from management.house import API, PASSWORD, House


@pytest.fixture
async def session(house: House, database_url: str) -> str:
    """The cookie of a browser in which the administrator has logged in."""
    me = house.call("admin", "GET", "/whoami").json()
    caller = Caller(Principal(PrincipalKind.USER, me["id"], me["name"]), None)
    database = open_database(database_url)
    secret = await StoredCredentials(database).make(CredentialKind.SESSION, caller, "browser", timedelta(minutes=5))
    await database.close()
    return f"entrepot_session={secret.reveal()}"


@pytest.fixture
def someone(house: House) -> Generator[httpx.Client, None, None]:
    """A new user's client."""
    _, name = house.user()
    with httpx.Client(base_url=f"{house.url}{API}", auth=(name, PASSWORD), timeout=60) as client:
        yield client


def test_pages_follow_each_other(house: House) -> None:
    """Every item comes once, in order, however small the pages are."""
    prefix = house.name("page")
    names = [f"{prefix}-{number}" for number in range(7)]
    for name in reversed(names):
        house.made("/groups", name=name)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = house.call("admin", "GET", "/groups", params={"limit": 3, **({"after": after} if after else {})}).json()
        assert len(page["items"]) <= 3
        found += [group["name"] for group in page["items"]]
        after = page["next"]
    assert found == sorted(set(found))
    assert [name for name in found if name.startswith(prefix)] == names


def test_a_place_is_good_in_its_own_list(house: House) -> None:
    """What was given out for one list, or made up, is refused."""
    for _ in range(2):
        house.made("/groups", name=house.name("group"))
    place = house.call("admin", "GET", "/groups", params={"limit": 1}).json()["next"]
    assert house.call("admin", "GET", "/groups", params={"limit": 1, "after": place}).status_code == 200
    for path, after in (
        ("/users", place),
        ("/bindings", place),
        ("/groups", place[:-8] + "AAAAAAAA"),
        ("/groups", "x"),
    ):
        refused = house.call("admin", "GET", path, params={"after": after})
        assert refused.status_code == 400
        assert refused.json()["parameters"] == {"reason": "position"}


def test_a_change_of_what_was_changed_meanwhile_is_refused(house: House) -> None:
    """With ``If-Match`` no change is lost; without it the last one counts."""
    path = f"/groups/{house.id_of('groups', house.made('/groups', name=house.name('group'))['name'])}"
    read = house.call("admin", "GET", path).headers["etag"]
    first = house.call("admin", "PATCH", path, json={"description": "one"}, headers={"If-Match": read})
    assert first.status_code == 200
    assert first.headers["etag"] != read
    late = house.call("admin", "PATCH", path, json={"description": "two"}, headers={"If-Match": read})
    assert late.status_code == 412
    assert late.json()["type"] == "urn:entrepot:problem:version-mismatch"
    assert house.call("admin", "GET", path).json()["description"] == "one"
    assert house.call("admin", "PATCH", path, json={"description": "two"}).status_code == 200
    assert house.call("admin", "PATCH", path, json={"description": "x"}, headers={"If-Match": "w"}).status_code == 400


def test_fields_that_nobody_asked_for_are_refused(house: House) -> None:
    """Neither a change nor a new thing takes what its route does not name, and no answer repeats a password."""
    user_id, _ = house.user()
    refused = house.call("nobody", "PATCH", f"/users/{user_id}", json={"issuer": "x", "admin": True})
    assert refused.status_code == 422
    assert refused.json()["parameters"]["fields"][0]["field"] == "body.issuer"
    refused = house.call("admin", "POST", "/users", json={"name": "", "password": "planted-secret"})
    assert refused.status_code == 422
    assert "planted-secret" not in refused.text


def test_somebody_administers(house: House) -> None:
    """The last administrator stays."""
    me = house.call("admin", "GET", "/whoami").json()["id"]
    for change in ({"disabled": True}, {"admin": False}):
        assert house.call("admin", "PATCH", f"/users/{me}", json=change).status_code == 409
    assert house.call("admin", "DELETE", f"/users/{me}").status_code == 409


def test_a_robots_secret_pulls_until_it_is_disabled(house: House) -> None:
    """The secret is shown once and good at once; disabling counts at the next request."""
    repository, name = house.repository("own/"), house.name("robot")
    made = house.call(
        "maintainer", "POST", "/robots", json={"name": name, "project": "own/", "repositories": ["own/**"]}
    )
    assert made.status_code == 201
    secret, robot_id = made.json()["secret"], house.id_of("robots", name)
    assert secret not in house.call("admin", "GET", f"/robots/{robot_id}").text
    pull = f"{house.url}/v2/{repository}/manifests/v1"
    assert httpx.get(pull, auth=(name, secret)).status_code == 200
    rotated = house.call("maintainer", "POST", f"/robots/{robot_id}/secrets", json={}).json()["secret"]
    assert [httpx.get(pull, auth=(name, one)).status_code for one in (secret, rotated)] == [200, 200]
    assert house.call("maintainer", "PATCH", f"/robots/{robot_id}", json={"disabled": True}).json()["disabled"]
    assert [httpx.get(pull, auth=(name, one)).status_code for one in (secret, rotated)] == [401, 401]


def test_nobody_gives_what_they_do_not_have(house: House) -> None:
    """A maintainer makes no robot that owns, and gets no secret of one that does more than they may."""
    name = house.name("robot")
    document = {"name": name, "project": "own/", "role": "owner", "repositories": ["own/**"]}
    refused = house.call("maintainer", "POST", "/robots", json=document)
    assert refused.status_code == 403
    assert refused.json()["parameters"]["scope"] == "project:own/:project"
    assert house.call("owner", "POST", "/robots", json=document).status_code == 201
    robot_id = house.id_of("robots", name)
    assert house.call("maintainer", "POST", f"/robots/{robot_id}/secrets", json={}).status_code == 403
    assert house.call("maintainer", "PATCH", f"/robots/{robot_id}", json={"lifetime": 60}).status_code == 403
    elsewhere = {"name": house.name("robot"), "project": "foreign/", "repositories": ["foreign/**"]}
    assert house.call("maintainer", "POST", "/robots", json=elsewhere).status_code == 403


def test_an_own_role(house: House) -> None:
    """A role of chosen actions gives these, and stays as long as somebody has it."""
    role, (_, name) = house.name("role"), house.user()
    house.made("/roles", name=role, actions=["pull", "delete"])
    subject = {"kind": "account", "name": name}
    binding = house.made("/bindings", subject=subject, role=role, repositories="own/**")
    repository = house.repository("own/")
    with httpx.Client(base_url=house.url, auth=(name, PASSWORD)) as client:
        assert client.get(f"/v2/{repository}/manifests/v1").status_code == 200
        assert client.post(f"/v2/{repository}/blobs/uploads/").status_code == 403
        assert client.delete(f"/v2/{repository}/manifests/v1").status_code == 202
    assert house.call("admin", "DELETE", f"/roles/{role}").status_code == 409
    assert house.call("admin", "DELETE", f"/bindings/{binding['id']}").status_code == 204
    assert house.call("admin", "DELETE", f"/roles/{role}").status_code == 204
    assert house.call("admin", "POST", "/roles", json={"name": "x", "actions": ["administer"]}).status_code == 400


def test_ones_own_tokens(house: House, someone: httpx.Client) -> None:
    """Users make tokens with their password; with a token nobody makes further ones, nor takes another's away."""
    made = someone.post("/tokens", json={"name": "ci", "scopes": [{"actions": ["pull"], "repositories": "own/**"}]})
    assert made.status_code == 201
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    shown = httpx.get(f"{house.url}{API}/whoami", headers=bearer).json()
    (listed,) = someone.get("/tokens").json()
    assert (shown["name"], shown["credential"]) == (made.json()["user"], listed["id"])
    again = httpx.post(f"{house.url}{API}/tokens", headers=bearer, json={"name": "more"})
    assert again.status_code == 403
    assert house.call("owner", "DELETE", f"/tokens/{listed['id']}").status_code == 404
    assert someone.delete(f"/tokens/{listed['id']}").status_code == 204
    assert httpx.get(f"{house.url}{API}/whoami", headers=bearer).status_code == 401


def test_ones_own_password(someone: httpx.Client) -> None:
    """It takes the one of now, whose guessing is slowed down like every other."""
    changed = {"current": PASSWORD, "password": "another password"}
    assert someone.post("/whoami/password", json={**changed, "current": "wrong"}).status_code == 401
    assert someone.post("/whoami/password", json=changed).status_code == 204
    assert someone.get("/whoami").status_code == 401


def test_a_session_is_good_from_the_registrys_own_pages(house: House, session: str) -> None:
    """Another site's page cannot use the browser's session for a change, nor is it any good for content."""
    headers = {"Cookie": session}
    users = f"{house.url}{API}/groups"
    assert httpx.get(users, headers=headers).status_code == 200
    for origin in ({}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"}):
        refused = httpx.post(users, headers={**headers, **origin}, json={"name": house.name("group")})
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:entrepot:problem:foreign-origin"
    own = {"Origin": house.url}
    assert httpx.post(users, headers={**headers, **own}, json={"name": house.name("group")}).status_code == 201
    assert httpx.get(f"{house.url}/v2/", headers=headers).status_code == 401


def test_a_token_for_content_is_none_for_administration(house: House) -> None:
    """What the token endpoint issues is not taken here."""
    token = house.admin.get("/token").json()["token"]
    assert httpx.get(f"{house.url}{API}/users", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_repository_gets_another_name(house: House) -> None:
    """With all that it holds, under the rights of its new project; a name that is taken stays."""
    name, taken = house.repository("own/"), house.repository("own/")
    new = f"foreign/{house.name('moved')}"
    assert house.call("owner", "PATCH", "/repository", params={"name": name}, json={"name": new}).status_code == 403
    assert house.call("admin", "PATCH", "/repository", params={"name": name}, json={"name": taken}).status_code == 409
    moved = house.call("admin", "PATCH", "/repository", params={"name": name}, json={"name": new})
    assert moved.status_code == 200
    assert moved.json()["project"] == "foreign/"
    assert house.clients["stranger"].get(f"/v2/{new}/manifests/v1").status_code == 200
    assert house.clients["owner"].get(f"/v2/{new}/manifests/v1").status_code == 403
    assert house.admin.get(f"/v2/{name}/manifests/v1").status_code == 404
    assert Repository(house.admin, name).push_image()


def test_what_a_repository_holds(house: House) -> None:
    """Its size, tags and manifests are shown, and a plan says what a deletion would take away."""
    name = house.repository("own/")
    content = house.call("reader", "GET", "/repository", params={"name": name}).json()["content"]
    assert (content["tags"], content["manifests"], content["blobs"]) == (1, 1, 1)
    (tag,) = house.call("reader", "GET", "/tags", params={"repository": name}).json()["items"]
    (manifest,) = house.call("reader", "GET", "/manifests", params={"repository": name}).json()["items"]
    assert tag["digest"] == manifest["digest"]
    assert manifest["tags"] == ["v1"]
    assert tag["total_size"] == manifest["total_size"] > manifest["size"]
    assert house.call("maintainer", "GET", "/repository/deletion", params={"name": name}).json() == content
    assert house.call("maintainer", "DELETE", "/repository", params={"name": name}).json() == content
    assert house.call("reader", "GET", "/repository", params={"name": name}).status_code == 404


def test_repositories_are_those_that_may_be_pulled(house: House) -> None:
    """A list by its prefix shows no name of others."""
    mine, others = house.repository("own/"), house.repository("foreign/")
    listed = house.call("reader", "GET", "/repositories", params={"limit": 1000}).json()["items"]
    names = [one["name"] for one in listed]
    assert mine in names
    assert others not in names
    found = house.call("admin", "GET", "/repositories", params={"prefix": others[:-1]}).json()["items"]
    assert [one["name"] for one in found] == [others]


def test_bodies_have_a_cap(house: House) -> None:
    """More than 64 KiB is refused, and so is what is no JSON or too deep for it."""
    large = house.call("admin", "POST", "/groups", json={"name": "x" * 70_000})
    assert large.status_code == 413
    assert large.headers["content-type"] == "application/problem+json"
    deep = house.call("admin", "POST", "/groups", content="[" * 60_000, headers={"Content-Type": "application/json"})
    assert deep.status_code in {400, 422}


def test_answers_are_kept_by_no_cache(house: House) -> None:
    """What they say is for one caller and one moment."""
    answer = house.call("admin", "GET", "/users")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_path_with_a_hidden_slash_leads_nowhere(house: House) -> None:
    """Names are no part of paths, so an encoded slash is part of an id that does not exist."""
    assert house.call("admin", "GET", "/users/a%2Fpassword").status_code in {404, 422}
    assert house.call("admin", "GET", "/users//").status_code == 404
