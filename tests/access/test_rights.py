"""Who may do what, at a registry with two workers that an operator administers beside it."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from entrepot.metadata import Actor, Transaction, open_database
from entrepot.metadata.tables import repositories
from harness.administration import Administration
from harness.protocol import OCI_MANIFEST, Repository, digest_of, image
from harness.registry import LiveRegistry, running_registry

PASSWORD = "a password of ann's"
ASKED = 20  # requests on new connections: enough that both workers answer some


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[LiveRegistry, None, None]:
    """A registry with two workers, where nobody may do anything without a binding."""
    with running_registry(tmp_path_factory.mktemp("rights"), "--workers", "2", "--anonymous", "none") as started:
        yield started


@pytest.fixture(scope="module")
def admin(registry: LiveRegistry) -> Administration:
    """Administration of its data."""
    return Administration(registry.data)


@pytest.fixture
def team(registry: LiveRegistry) -> str:
    """A prefix of its own for a test, with an image ``<team>/app:v1`` that the admin pushed."""
    prefix = f"team-{secrets.token_hex(4)}"
    with client(registry, "admin", registry.admin_password) as root:
        Repository(root, f"{prefix}/app").push_image()
    return prefix


def client(registry: LiveRegistry, name: str, password: str) -> httpx.Client:
    """A client with Basic credentials that keeps no connection: each request may meet another worker."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=registry.url, auth=(name, password), limits=limits, timeout=30)


def pull(of: httpx.Client, name: str, reference: str = "v1") -> int:
    """The status of a pull."""
    return of.get(f"/v2/{name}/manifests/{reference}").status_code


def push(of: httpx.Client, name: str, tag: str, layer: bytes = b"a layer") -> httpx.Response:
    """Push an image with its blobs; the answer to the manifest, or to the first blob that was refused."""
    for content in (b"{}", layer):
        blob = of.post(f"/v2/{name}/blobs/uploads/", params={"digest": digest_of(content)}, content=content)
        if blob.status_code != httpx.codes.CREATED:
            return blob
    document = json.dumps(image(layer)).encode()
    return of.put(f"/v2/{name}/manifests/{tag}", content=document, headers={"Content-Type": OCI_MANIFEST})


def token_of(of: httpx.Client, scope: str) -> dict[str, str]:
    """The header with a token for a scope."""
    token = of.get("/token", params={"scope": scope}).json()["token"]
    return {"Authorization": f"Bearer {token}"}


def test_a_robot_that_may_only_pull(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """It pulls what its pattern fits and nothing else, and a refused push says which right is missing."""
    secret = admin.robot(f"{team}-puller", "reader", f"{team}/**")
    with client(registry, f"{team}-puller", secret) as robot:
        assert pull(robot, f"{team}/app") == 200
        refused = push(robot, f"{team}/app", "v2")
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["detail"] == {"scope": f"repository:{team}/app:pull,push"}
        assert pull(robot, "elsewhere/app") == 403
        names = robot.get("/v2/_catalog").json()["repositories"]
        assert [name for name in names if not name.endswith("/open")] == [f"{team}/app"]  # others are open to everybody


def test_making_a_tag_is_not_moving_it(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """A pusher makes tags and pushes the same again; to let one point elsewhere needs the right to move it."""
    pusher = admin.robot(f"{team}-pusher", "pusher", f"{team}/**")
    writer = admin.robot(f"{team}-writer", "writer", f"{team}/**")
    name = f"{team}/built"
    with client(registry, f"{team}-pusher", pusher) as pushing, client(registry, f"{team}-writer", writer) as writing:
        assert [push(pushing, name, "1.0").status_code for _ in range(2)] == [201, 201]
        moved = push(pushing, name, "1.0", b"another layer")
        assert moved.status_code == 403
        assert moved.json()["errors"][0]["detail"]["scope"] == f"repository:{name}:move"
        by_digest = json.dumps(image(b"another layer")).encode()
        headers = {"Content-Type": OCI_MANIFEST}
        path = f"/v2/{name}/manifests/{digest_of(by_digest)}"
        assert pushing.put(f"{path}?tag=1.0", content=by_digest, headers=headers).status_code == 403
        assert pushing.put(f"{path}?tag=1.1", content=by_digest, headers=headers).status_code == 201
        token = token_of(pushing, f"repository:{name}:pull,push")
        assert (
            httpx.put(
                f"{registry.url}/v2/{name}/manifests/1.0", content=by_digest, headers={**headers, **token}
            ).status_code
            == 403
        )
        assert push(writing, name, "1.0", b"another layer").status_code == 201
        assert writing.delete(f"/v2/{name}/manifests/1.0").status_code == 403


async def test_of_two_who_make_one_tag_one_is_refused(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """Two pushers with different images race for a tag: it is made once, and moved by neither."""
    secret = await asyncio.to_thread(admin.robot, f"{team}-racer", "pusher", f"{team}/**")
    name = f"{team}/race"
    layers = [b"one", b"other"]
    with client(registry, f"{team}-racer", secret) as robot:
        await asyncio.gather(*(asyncio.to_thread(push, robot, name, f"t{n}", layer) for n, layer in enumerate(layers)))
        for number in range(10):
            answers = await asyncio.gather(
                *(asyncio.to_thread(push, robot, name, f"race{number}", layer) for layer in layers)
            )
            assert sorted(answer.status_code for answer in answers) == [201, 403]


def test_rights_end_at_the_next_request_of_every_worker(
    registry: LiveRegistry, admin: Administration, team: str
) -> None:
    """A binding that is removed counts no more, for a password, a secret and a token, whichever worker is asked."""
    user = f"{team}-ann"
    admin.user(user, PASSWORD)
    binding = admin("binding", "add", "--user", user, "--role", "reader", "--repositories", f"{team}/**").strip()
    with client(registry, user, PASSWORD) as ann:
        token = token_of(ann, f"repository:{team}/app:pull")
        url = f"{registry.url}/v2/{team}/app/manifests/v1"
        assert {pull(ann, f"{team}/app") for _ in range(ASKED)} == {200}
        assert {httpx.get(url, headers=token).status_code for _ in range(ASKED)} == {200}

        admin("binding", "remove", binding)

        assert {pull(ann, f"{team}/app") for _ in range(ASKED)} == {403}
        assert {httpx.get(url, headers=token).status_code for _ in range(ASKED)} == {403}


def test_a_disabled_robot_is_out_at_once(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """With its secret and with its token, at every worker; enabled again it is in."""
    name = f"{team}-disabled"
    secret = admin.robot(name, "reader", f"{team}/**")
    with client(registry, name, secret) as robot:
        token = token_of(robot, f"repository:{team}/app:pull")
        url = f"{registry.url}/v2/{team}/app/manifests/v1"
        assert {httpx.get(url, headers=token).status_code for _ in range(ASKED)} == {200}

        admin("robot", "disable", name)

        refused = [httpx.get(url, headers=token) for _ in range(ASKED)]
        assert {answer.status_code for answer in refused} == {401}
        assert {pull(robot, f"{team}/app") for _ in range(ASKED)} == {401}
        assert refused[0].json()["errors"][0]["detail"]["reason"] == "disabled"

        admin("robot", "enable", name)
        assert pull(robot, f"{team}/app") == 200


def test_two_secrets_while_one_is_handed_out(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """After a rotation both are good, after the next one the first no longer; without overlap only the new one is."""
    name = f"{team}-rotated"
    secrets_of = [admin.robot(name, "reader", f"{team}/**")]

    def good() -> list[bool]:
        answers = []
        for secret in secrets_of:
            with client(registry, name, secret) as robot:
                answers.append(pull(robot, f"{team}/app") == 200)
        return answers

    secrets_of.append(admin.json("robot", "rotate", name)["secret"])
    assert good() == [True, True]
    secrets_of.append(admin.json("robot", "rotate", name)["secret"])
    assert good() == [False, True, True]
    secrets_of.append(admin.json("robot", "rotate", name, "--overlap", "0s")["secret"])
    assert good() == [False, False, False, True]


def test_a_key_file_is_a_password(registry: LiveRegistry, admin: Administration, team: str, tmp_path: Path) -> None:
    """``_json_key`` with the document; one that is not whole is refused with the field that is wrong."""
    path = tmp_path / "key.json"
    name = f"{team}-keyed"
    admin("robot", "create", name, "--repositories", f"{team}/**", "--key-file", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    document = path.read_text()
    with client(registry, "_json_key", document) as robot:
        assert pull(robot, f"{team}/app") == 200
    fields = json.loads(document)
    for broken, field in (
        ("{", "$"),
        ("[]", "$"),
        (json.dumps({**fields, "type": "service_account"}), "type"),
        (json.dumps({key: value for key, value in fields.items() if key != "secret"}), "secret"),
        (json.dumps({**fields, "username": 1}), "username"),
    ):
        with client(registry, "_json_key", broken) as robot:
            answer = robot.get(f"/v2/{team}/app/manifests/v1")
            assert answer.status_code == 401
            assert answer.json()["errors"][0]["detail"] == {"reason": "key-file", "field": field}
    with client(registry, "_json_key", json.dumps({**fields, "username": "admin"})) as robot:
        assert pull(robot, f"{team}/app") == 401
    assert "such a file" in admin("robot", "rotate", name, "--key-file", str(path), code=2)


def test_a_personal_token_is_narrower_than_its_user(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """It does what its scopes say and its user may, by name or ``_token``; when it is revoked, so is what it made."""
    user = f"{team}-bea"
    admin.user(user, PASSWORD)
    admin("binding", "add", "--user", user, "--role", "writer", "--repositories", f"{team}/**")
    made = admin.json("token", "create", user, "--name", "ci", "--scope", f"{team}/app:pull")["token"]
    assert made.startswith("entp_")
    for name in (user, "_token"):
        with client(registry, name, made) as narrow:
            assert pull(narrow, f"{team}/app") == 200
            assert push(narrow, f"{team}/app", "v3").status_code != 201
    with client(registry, user, made) as narrow, client(registry, user, PASSWORD) as wide:
        assert push(wide, f"{team}/app", "v3").status_code == 201
        header = token_of(narrow, f"repository:{team}/app:pull,push")
        url = f"{registry.url}/v2/{team}/app"
        assert httpx.get(f"{url}/manifests/v1", headers=header).status_code == 200
        assert httpx.post(f"{url}/blobs/uploads/", headers=header).status_code == 401

        uid = admin.json("token", "list", user)[0]["id"]
        admin("token", "revoke", uid)

        assert {pull(narrow, f"{team}/app") for _ in range(ASKED)} == {401}
        answers = Counter(httpx.get(f"{url}/manifests/v1", headers=header).status_code for _ in range(ASKED))
        assert answers == {401: ASKED}
        assert pull(wide, f"{team}/app") == 200


def test_groups_give_and_take_rights(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """Who is in a group has its roles, until it is out of it or the group is gone."""
    user = f"{team}-cy"
    admin.user(user, PASSWORD)
    admin("group", "create", team)
    admin("binding", "add", "--group", team, "--role", "reader", "--repositories", f"{team}/*")
    with client(registry, user, PASSWORD) as cy:
        assert pull(cy, f"{team}/app") == 403
        admin("group", "add", team, user)
        assert pull(cy, f"{team}/app") == 200
        admin("group", "remove", team, user)
        assert pull(cy, f"{team}/app") == 403
        admin("group", "add", team, user)
        admin("group", "delete", team)
        assert pull(cy, f"{team}/app") == 403


def test_a_project_is_a_wall(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """What is bound above counts in a project only where it is inherited; tokens of before carry nothing in it."""
    above = admin.robot(f"{team}-above", "reader", f"{team}/**")
    with client(registry, f"{team}-above", above) as robot:
        token = token_of(robot, f"repository:{team}/app:pull")
        assert pull(robot, f"{team}/app") == 200

        assert admin.json("project", "create", team, "--plan")["repositories"] == [f"{team}/app"]
        assert f"{team}/app" in admin("project", "create", team, code=1)
        admin("project", "create", team, "--move")

        assert pull(robot, f"{team}/app") == 403
        with client(registry, "admin", registry.admin_password) as root:
            assert Repository(root, f"{team}/later").push_image()
        assert pull(robot, f"{team}/later") == 403
        inherited = admin(
            "binding", "add", "--user", f"{team}-above", "--role", "reader", "--repositories", f"{team}/**",
            "--project", "*", "--inherited",
        ).strip()  # fmt: skip
        assert pull(robot, f"{team}/later") == 200
        url = f"{registry.url}/v2/{team}/app/manifests/v1"
        assert httpx.get(url, headers=token).status_code == 401
        admin("binding", "remove", inherited)

        admin("project", "delete", team)
        assert pull(robot, f"{team}/later") == 200


def test_everybody_may_be_bound(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """``anonymous`` is a subject like others, and what it may whoever logs in may too; ``authenticated`` is not it."""
    user = f"{team}-dee"
    admin.user(user, PASSWORD)
    closed, opened = f"{team}/people/open", f"{team}/all/open"
    with client(registry, "admin", registry.admin_password) as root:
        Repository(root, opened).push_image()
        Repository(root, closed).push_image()
    admin("binding", "add", "--anonymous", "--role", "reader", "--repositories", opened)
    admin("binding", "add", "--authenticated", "--role", "reader", "--repositories", closed)
    nobody = httpx.Client(base_url=registry.url)
    with nobody, client(registry, user, PASSWORD) as dee:
        assert [pull(nobody, opened), pull(nobody, closed)] == [200, 401]
        assert [pull(dee, opened), pull(dee, closed)] == [200, 200]


def test_what_is_explained_is_what_happens(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """The command says yes and no as the registry does, with the binding or what is missing."""
    name = f"{team}-explained"
    secret = admin.robot(name, "pusher", f"{team}/**")
    with client(registry, name, secret) as robot:
        assert pull(robot, f"{team}/app") == 200
    assert admin("explain", name, "pull", f"{team}/app").startswith(f"yes: account {name} is pusher on {team}/**")
    assert admin("explain", name, "move", f"{team}/app", code=5) == "no: no binding gives it\n"
    assert admin("explain", "admin", "delete", "any/thing") == "yes: is an administrator\n"
    assert "none of this name" in admin("explain", "nobody", "pull", "a", code=3)
    admin("robot", "disable", name)
    assert admin("explain", name, "pull", f"{team}/app", code=5) == "no: the account is disabled or over\n"


def test_names_are_one_space(admin: Administration, team: str) -> None:
    """A robot cannot be called as a user is, nor the other way round, nor as what means something else."""
    admin.robot(team, "reader")
    assert "taken" in admin("user", "add", team, "--password-stdin", stdin="some password\n", code=1)
    assert "taken" in admin("robot", "create", "admin", code=1)
    for name in ("_json_key", "_token", "anonymous", "a:b", "a b", "a/b"):
        assert "cannot be its name" in admin("robot", "create", name, code=2)


def test_somebody_administers_it(admin: Administration) -> None:
    """The last administrator can neither be shut out nor removed."""
    assert "last administrator" in admin("user", "disable", "admin", code=1)
    assert "last administrator" in admin("user", "delete", "admin", code=1)


def catalog_pages(robot: httpx.Client) -> list[list[str]]:
    """Every page of the catalog, by two; what everybody may pull is in it, too."""
    pages: list[list[str]] = []
    url: str | None = "/v2/_catalog?n=2"
    while url is not None:
        page = robot.get(url)
        pages.append(page.json()["repositories"])
        url = page.links.get("next", {}).get("url")
    return pages


async def test_a_list_goes_where_something_may_be(registry: LiveRegistry, admin: Administration, team: str) -> None:
    """Behind ten thousand repositories of others, full pages have what may be pulled, and nothing of theirs."""
    user = f"{team}-far"
    secret = await asyncio.to_thread(admin.robot, user, "reader", f"zz-{team}/**", f"{team}/app")
    made = Actor("user", "u", "u").columns("created_by")

    def add_many(tx: Transaction) -> None:
        names = [*(f"hidden-{team}/{number}" for number in range(10_500)), f"zz-{team}/one", f"zz-{team}/two"]
        row = {"project_id": 1, "kind": "hosted", "state": "active", "created_at": tx.now, **made}
        tx.execute(repositories.insert(), [{**row, "name": name} for name in names])

    database = open_database(f"sqlite:///{registry.data / 'entrepot.db'}")
    await database.write(add_many)
    await database.close()
    with client(registry, user, secret) as robot:
        pages = catalog_pages(robot)
    names = [name for page in pages for name in page]
    assert [name for name in names if team in name] == [f"{team}/app", f"zz-{team}/one", f"zz-{team}/two"]
    assert not any(name.startswith("hidden-") for name in names)
    assert all(len(page) == 2 for page in pages[:-1])
