"""Who may do what, as clients meet it (Docker's token specification, distribution spec), over real sockets."""

import base64
import sqlite3
from collections.abc import Generator

import httpx
import pytest

from harness.protocol import Repository, RunningRegistry, digest_of, registry_in


def token_for(client: httpx.Client, *scopes: str) -> str:
    """A token for these scopes."""
    answer = client.get("/token", params=[("scope", scope) for scope in scopes])
    assert answer.status_code == 200
    return str(answer.json()["token"])


@pytest.fixture
def anonymous(small_registry: RunningRegistry) -> Generator[httpx.Client, None, None]:
    """A client without credentials, who may pull."""
    with small_registry.client() as client:
        yield client


@pytest.fixture
def pushed(small_registry: RunningRegistry) -> Generator[Repository, None, None]:
    """A repository with an image, where anonymous clients may pull."""
    with small_registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image()
        yield repository


def test_the_base_asks_everyone_for_credentials(small_registry: RunningRegistry, anonymous: httpx.Client) -> None:
    """``/v2/`` is 401 with a Bearer challenge even where everyone may pull, so that a login proves something."""
    answer = anonymous.get("/v2/")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f'Bearer realm="{small_registry.url}/token",service="entrepot"'
    with small_registry.admin() as admin:
        assert admin.get("/v2/").status_code == 200
    with small_registry.client(auth=("admin", "wrong")) as wrong:
        assert wrong.get("/v2/").status_code == 401
        assert wrong.get("/token").status_code == 401
        assert wrong.get("/token").headers["www-authenticate"].startswith("Basic ")


def test_a_token_is_a_login(small_registry: RunningRegistry, pushed: Repository) -> None:
    """The flow of docker: challenge, token with the password, request with the token."""
    with small_registry.admin() as admin:
        answer = admin.get("/token", params={"service": "entrepot", "scope": f"repository:{pushed.name}:pull,push"})
    body = answer.json()
    assert body["token"] == body["access_token"]
    assert body["expires_in"] == 300
    assert body["issued_at"].endswith("Z")

    with small_registry.client(Authorization=f"Bearer {body['token']}") as client:
        assert client.get("/v2/").status_code == 200
        assert client.get(f"{pushed.base}/manifests/v1").status_code == 200
        assert Repository(client, pushed.name).push_blob(b"by token") == digest_of(b"by token")


def test_everyone_may_pull_and_not_push(anonymous: httpx.Client, pushed: Repository) -> None:
    """With ``pull``, who has no credentials, or an anonymous token, reads, and is asked to log in to write."""
    bearer = {"Authorization": f"Bearer {token_for(anonymous, f'repository:{pushed.name}:pull,push')}"}
    empty = {"Authorization": f"Basic {base64.b64encode(b':').decode()}"}

    for headers in ({}, bearer, empty):
        assert anonymous.get(f"{pushed.base}/manifests/v1", headers=headers).status_code == 200
        refused = anonymous.post(f"{pushed.base}/blobs/uploads/", headers=headers)
        assert refused.status_code == 401
        assert f'scope="repository:{pushed.name}:pull,push"' in refused.headers["www-authenticate"]
        assert anonymous.delete(f"{pushed.base}/manifests/v1", headers=headers).status_code == 401


def test_nobody_reads_where_nothing_is_public(client: httpx.Client, registry: RunningRegistry) -> None:
    """Without a right, what exists and what does not are the same 401."""
    repository = Repository(client)
    repository.push_image()

    with registry.client() as nobody:
        there = nobody.get(f"{repository.base}/manifests/v1")
        absent = nobody.get("/v2/test/absent/manifests/v1")

    assert there.status_code == absent.status_code == 401
    assert there.content == absent.content
    assert (
        there.headers["www-authenticate"].replace(repository.name, "test/absent") == absent.headers["www-authenticate"]
    )


def test_a_token_for_less_is_asked_to_be_for_more(small_registry: RunningRegistry, pushed: Repository) -> None:
    """A right that only the token lacks is 401 insufficient_scope, naming what to ask for."""
    with small_registry.admin() as admin:
        token = token_for(admin, f"repository:{pushed.name}:pull")

    with small_registry.client(Authorization=f"Bearer {token}") as client:
        refused = client.post(f"{pushed.base}/blobs/uploads/")
        elsewhere = client.get("/v2/test/elsewhere/manifests/v1")

    for answer in (refused, elsewhere):
        assert answer.status_code == 401
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("token", ["x", "a.b.c", "e30.e30.e30", "x" * 30_000])
def test_a_forged_token_is_refused(small_registry: RunningRegistry, pushed: Repository, token: str) -> None:
    """What is no token of this registry is 401 invalid_token, also where no credentials would do."""
    with small_registry.client(Authorization=f"Bearer {token}") as client:
        refused = client.get(f"{pushed.base}/manifests/v1")

    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_a_mount_needs_pull_on_its_source(small_registry: RunningRegistry, pushed: Repository) -> None:
    """A token without pull on the source is asked for both; a source that lacks the blob is 202."""
    with small_registry.admin() as admin:
        source, blob = Repository(admin), b"mounted"
        digest = source.push_blob(blob)
        token = token_for(admin, f"repository:{pushed.name}:pull,push")
    query = {"mount": digest, "from": source.name}

    with small_registry.client(Authorization=f"Bearer {token}") as client:
        refused = client.post(f"{pushed.base}/blobs/uploads/", params=query)
        absent = client.post(f"{pushed.base}/blobs/uploads/", params={**query, "mount": digest_of(b"absent")})
    with small_registry.admin() as admin:
        nowhere = admin.post(f"{pushed.base}/blobs/uploads/", params={**query, "from": "test/nowhere"})

    for answer in (refused, absent):
        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert f"repository:{pushed.name}:pull,push" in challenge
        assert f"repository:{source.name}:pull" in challenge
    assert nowhere.status_code == 202


def test_a_right_that_was_taken_away_is_gone_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A disabled user's live token and password are worth nothing from the next request on."""
    with registry_in(tmp_path_factory.mktemp("revoked")) as registry, registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image()
        token = token_for(admin, f"repository:{repository.name}:pull")
        with registry.client(Authorization=f"Bearer {token}") as client:
            assert client.get(f"{repository.base}/manifests/v1").status_code == 200
            with sqlite3.connect(registry.settings.data / "entrepot.db") as database:
                database.execute("UPDATE accounts SET disabled_at = 1")
                database.execute("UPDATE versions SET access_version = access_version + 1")
            database.close()

            assert client.get(f"{repository.base}/manifests/v1").status_code == 403
        assert admin.get(f"{repository.base}/manifests/v1").status_code == 401


def test_everyone_may_push_where_the_settings_say_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With ``push`` an anonymous client pushes and pulls, and deletes nothing."""
    with registry_in(tmp_path_factory.mktemp("open"), anonymous="push") as registry, registry.client() as client:
        repository = Repository(client)
        repository.push_image()

        assert client.get(f"{repository.base}/manifests/v1").status_code == 200
        assert client.delete(f"{repository.base}/manifests/v1").status_code == 401


def test_the_public_address_tells_its_numbers_to_admins_only(small_registry: RunningRegistry) -> None:
    """Metrics need a right on the public address and none on the operations address."""
    with small_registry.client() as anonymous:
        assert anonymous.get("/metrics").status_code == 401
        assert anonymous.get("/healthz").status_code == 200
    with small_registry.admin() as admin:
        assert "entrepot_http_requests_total" in admin.get("/metrics").text
    assert "entrepot_open_uploads" in httpx.get(f"{small_registry.operations_url}/metrics").text
    assert httpx.get(f"{small_registry.operations_url}/readyz").json()["checks"] == {"database": "ok", "storage": "ok"}


def test_addresses_follow_the_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a public URL and a prefix, locations and realms are absolute and below the prefix."""
    flags = {"public_url": "https://registry.example.com", "path_prefix": "/r"}
    with registry_in(tmp_path_factory.mktemp("prefix"), **flags) as registry, registry.admin() as admin:
        started = admin.post("/r/v2/a/blobs/uploads/")
        assert started.headers["location"].startswith("https://registry.example.com/r/v2/a/blobs/uploads/")
        assert admin.get("/v2/").status_code == 404
        challenge = httpx.get(f"{registry.url}/r/v2/").headers["www-authenticate"]
        assert 'realm="https://registry.example.com/r/token",service="registry.example.com"' in challenge
