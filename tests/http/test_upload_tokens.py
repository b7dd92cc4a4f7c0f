"""Tokens that end while an upload goes on, and what they are still good for."""

import sqlite3
import time
from collections.abc import Generator

import httpx
import pytest

from harness.protocol import Repository, RunningRegistry, digest_of, registry_in

CONTENT = b"slow upload"
OVER_SECONDS = 2.2  # a token's lifetime and as much again for clocks that differ


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningRegistry, None, None]:
    """A registry whose tokens last a second, and where everyone may push."""
    with registry_in(tmp_path_factory.mktemp("short"), tokens__lifetime="1s", anonymous="push") as running:
        yield running


@pytest.fixture
def admin(registry: RunningRegistry) -> Generator[httpx.Client, None, None]:
    """The admin, with a password."""
    with registry.admin() as client:
        yield client


def with_token(registry: RunningRegistry, who: httpx.Client, repository: str, actions: str) -> httpx.Client:
    """A client with a token of now for the repository."""
    answer = who.get("/token", params={"scope": f"repository:{repository}:{actions}"})
    assert answer.json()["expires_in"] == 1
    return registry.client(Authorization=f"Bearer {answer.json()['token']}")


def test_an_upload_outlives_its_token(registry: RunningRegistry, admin: httpx.Client) -> None:
    """A session is continued and closed with the token that began it, hours after it if need be."""
    repository = Repository(admin)
    with with_token(registry, admin, repository.name, "pull,push") as client:
        location = Repository(client, repository.name).start_upload()
        time.sleep(OVER_SECONDS)

        assert client.patch(location, content=CONTENT).status_code == 202
        assert client.get(location).headers["range"] == f"0-{len(CONTENT) - 1}"
        assert client.put(location, params={"digest": digest_of(CONTENT)}).status_code == 201


def test_it_is_good_for_nothing_else(registry: RunningRegistry, admin: httpx.Client) -> None:
    """Beginning, pulling, tagging and mounting need a token that is not over; the refusal says what is wrong."""
    repository = Repository(admin)
    repository.push_image()
    with with_token(registry, admin, repository.name, "pull,push,delete") as client:
        time.sleep(OVER_SECONDS)
        refused = [
            client.post(f"{repository.base}/blobs/uploads/"),
            client.post(f"{repository.base}/blobs/uploads/", params={"digest": digest_of(CONTENT)}, content=CONTENT),
            client.get(f"{repository.base}/manifests/v1"),
            client.get(f"{repository.base}/blobs/{digest_of(b'{}')}"),
            client.put(f"{repository.base}/manifests/v2", content=b"{}"),
            client.delete(f"{repository.base}/manifests/v1"),
            client.get("/v2/"),
        ]
    for answer in refused:
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert answer.json()["errors"][0]["detail"]["reason"] == "expired"


def test_it_is_no_way_into_the_sessions_of_others(registry: RunningRegistry, admin: httpx.Client) -> None:
    """The expired token of somebody else, or of nobody, finds no session."""
    repository = Repository(admin)
    location = repository.start_upload()
    with registry.client() as nobody, with_token(registry, nobody, repository.name, "pull,push") as client:
        time.sleep(OVER_SECONDS)
        answers = [client.patch(location, content=CONTENT), client.get(location), client.delete(location)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert admin.get(location).status_code == 204


def test_its_scopes_count_all_the_same(registry: RunningRegistry, admin: httpx.Client) -> None:
    """A session stands for the time of a token, not for what the token lacks."""
    repository = Repository(admin)
    location = repository.start_upload()
    with with_token(registry, admin, repository.name, "pull") as client:
        time.sleep(OVER_SECONDS)
        answer = client.patch(location, content=CONTENT)
    assert answer.status_code == 401
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_a_disabled_user_is_refused_even_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The rights of this moment are decided on each request of the session."""
    folder = tmp_path_factory.mktemp("disabled")
    with registry_in(folder, tokens__lifetime="1s") as registry, registry.admin() as admin:
        repository = Repository(admin)
        with with_token(registry, admin, repository.name, "pull,push") as client:
            location = Repository(client, repository.name).start_upload()
            time.sleep(OVER_SECONDS)
            assert client.get(location).status_code == 204
            with sqlite3.connect(registry.settings.data / "entrepot.db") as database:
                database.execute("UPDATE accounts SET disabled_at = 1")
                database.execute("UPDATE versions SET access_version = access_version + 1")
            database.close()

            assert client.patch(location, content=CONTENT).status_code in {401, 403}
            assert client.put(location, params={"digest": digest_of(CONTENT)}).status_code in {401, 403}


def test_refused_credentials_are_counted_by_reason(registry: RunningRegistry, admin: httpx.Client) -> None:
    """The metrics tell why logins were refused; challenges to nobody are none."""

    def counts() -> dict[str, float]:
        lines = httpx.get(f"{registry.operations_url}/metrics").text.splitlines()
        found = [line.split(" ") for line in lines if line.startswith("entrepot_logins_refused_total{")]
        return {name.partition('reason="')[2].rstrip('"}'): float(value) for name, value in found}

    before = counts()
    with registry.client(auth=("admin", "wrong")) as wrong, registry.client(Authorization="Bearer a.b.c") as forged:
        wrong.get("/v2/")
        wrong.get("/token")
        forged.get("/v2/")
    with registry.client() as nobody:
        nobody.get("/v2/")
    after = counts()

    assert after["credentials"] - before.get("credentials", 0) == 2
    assert after["malformed"] - before.get("malformed", 0) == 1
    assert "anonymous" not in after
