"""OAuth 2.0 at the token endpoint (RFC 6749, Docker's "OAuth2 token authentication"), over real sockets."""

import sqlite3
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.protocol import Repository, RunningRegistry, registry_in

FORM = "application/x-www-form-urlencoded"


def password_form(registry: RunningRegistry, **fields: str) -> dict[str, str]:
    """The form of a client that has the admin's password."""
    given = {"grant_type": "password", "username": "admin", "password": registry.password}
    return given | {"service": "entrepot", "client_id": "test-client"} | fields


def refreshed(client: httpx.Client, token: str, **fields: str) -> httpx.Response:
    """A token for a refresh token."""
    return client.post("/token", data={"grant_type": "refresh_token", "refresh_token": token, **fields})


def refused(answer: httpx.Response, status: int, error: str) -> dict[str, Any]:
    """The detail of a refusal that OAuth's clients and the registry's both understand."""
    content = answer.json()
    assert (answer.status_code, content["error"]) == (status, error), answer.text
    assert content["error_description"] == content["errors"][0]["message"]
    assert answer.headers["cache-control"] == "no-store"
    detail = content["errors"][0]["detail"]
    assert isinstance(detail, dict)
    return detail


def bearer(registry: RunningRegistry, answer: httpx.Response) -> httpx.Client:
    """A client with the token that was answered."""
    return registry.client(Authorization=f"Bearer {answer.json()['access_token']}")


def test_a_password_gets_a_token(client: httpx.Client, registry: RunningRegistry) -> None:
    """Containerd's way: the password in the form, a token for the scopes out, and no refresh token unasked."""
    repository = Repository(client)
    repository.push_image()
    form = password_form(registry, scope=f"repository:{repository.name}:pull registry:settings:*")
    with registry.client() as anyone:
        answer = anyone.post("/token", data=form)

    content = answer.json()
    assert answer.status_code == 200
    assert set(content) == {"access_token", "token_type", "scope", "expires_in", "issued_at"}
    assert (content["token_type"], content["scope"]) == ("Bearer", f"repository:{repository.name}:pull")
    assert answer.headers["cache-control"] == "no-store"
    with bearer(registry, answer) as puller:
        assert puller.get(f"{repository.base}/manifests/v1").status_code == 200
        assert puller.post(f"{repository.base}/blobs/uploads/").status_code == 401


def test_a_refresh_token_gets_tokens(client: httpx.Client, registry: RunningRegistry) -> None:
    """With ``access_type=offline`` a login is kept without its password, and used many times at once."""
    repository = Repository(client)
    repository.push_image()
    scope = f"repository:{repository.name}:pull"
    with registry.client() as anyone:
        refresh = anyone.post("/token", data=password_form(registry, access_type="offline")).json()["refresh_token"]
        answers = [refreshed(anyone, refresh, scope=scope, client_id="docker", service="entrepot") for _ in range(3)]

    assert refresh.startswith("entf_")
    for answer in answers:
        assert answer.json()["scope"] == scope
        assert "refresh_token" not in answer.json()
        with bearer(registry, answer) as puller:
            assert puller.get(f"{repository.base}/manifests/v1").status_code == 200


def test_a_get_offers_a_refresh_token_too(client: httpx.Client, registry: RunningRegistry) -> None:
    """Docker's way: ``offline_token=true`` with the password; nobody in particular gets none."""
    query = {"service": "entrepot", "client_id": "docker", "offline_token": "true", "account": "admin"}
    refresh = client.get("/token", params=query).json()["refresh_token"]
    with registry.client() as anyone:
        assert refreshed(anyone, refresh).status_code == 200
        assert "refresh_token" not in anyone.get("/token", params=query).json()
    assert "refresh_token" not in client.get("/token", params={**query, "offline_token": "false"}).json()


def test_a_wrong_password_and_an_unknown_user_are_alike(registry: RunningRegistry) -> None:
    """``invalid_grant`` for both, with the registry's own code beside it."""
    with registry.client() as anyone:
        wrong = anyone.post("/token", data=password_form(registry, password="wrong"))
        unknown = anyone.post("/token", data=password_form(registry, username="nobody"))

    assert refused(wrong, 401, "invalid_grant") == {"reason": "credentials"}
    assert wrong.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert wrong.content == unknown.content


@pytest.mark.parametrize("token", ["x", "entf_" + "A" * 54, "entp_" + "A" * 54, "a.b.c"])
def test_a_made_up_refresh_token_is_refused(registry: RunningRegistry, token: str) -> None:
    """What was not issued here is ``invalid_grant``."""
    with registry.client() as anyone:
        assert refused(refreshed(anyone, token), 401, "invalid_grant") == {"reason": "credentials"}


def test_a_refresh_token_is_no_password_and_no_bearer_token(client: httpx.Client, registry: RunningRegistry) -> None:
    """It is good at the token endpoint alone, and an access token is no refresh token."""
    content = client.get("/token", params={"offline_token": "true"}).json()
    with registry.client(auth=("admin", content["refresh_token"])) as basic:
        assert basic.get("/v2/").status_code == 401
    with registry.client(Authorization=f"Bearer {content['refresh_token']}") as token:
        assert token.get("/v2/").status_code == 401
    with registry.client() as anyone:
        refused(refreshed(anyone, content["access_token"]), 401, "invalid_grant")


@pytest.mark.parametrize(
    ("form", "error", "detail"),
    [
        ({"client_id": "x"}, "invalid_request", {"reason": "missing", "field": "grant_type"}),
        ({"grant_type": ""}, "invalid_request", {"reason": "missing", "field": "grant_type"}),
        ({"grant_type": "password"}, "invalid_request", {"reason": "missing", "field": "username"}),
        (
            {"grant_type": "password", "username": "admin"},
            "invalid_request",
            {"reason": "missing", "field": "password"},
        ),
        ({"grant_type": "refresh_token"}, "invalid_request", {"reason": "missing", "field": "refresh_token"}),
        ({"grant_type": "password", "scope": "repository:A:pull"}, "invalid_request", None),
        ({"grant_type": ["password", "password"]}, "invalid_request", {"reason": "repeated"}),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type", None),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type", None),
        (
            {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "x"},
            "invalid_request",
            {"reason": "oidc"},
        ),
    ],
)
def test_what_is_wrong_with_a_form_is_said(
    registry: RunningRegistry, form: dict[str, Any], error: str, detail: dict[str, str] | None
) -> None:
    """Each mistake has OAuth's word, and names the field where there is one."""
    with registry.client() as anyone:
        found = refused(anyone.post("/token", data=form), 400, error)
    assert detail is None or found == detail


def test_other_requests_are_refused(registry: RunningRegistry) -> None:
    """JSON, credentials in the header, an endless form, fields without end, and other methods."""
    with registry.client() as anyone:
        refused(anyone.post("/token", json={"grant_type": "password"}), 400, "invalid_request")
        headers = {"Content-Type": FORM, "Authorization": "Basic eDp5"}
        refused(anyone.post("/token", content=b"grant_type=password", headers=headers), 400, "invalid_request")
        large = anyone.post("/token", data={"grant_type": "password", "password": "x" * 70_000})
        refused(large, 413, "invalid_request")
        many = anyone.post(
            "/token", content=b"&".join(b"a%d=1" % n for n in range(200)), headers={"Content-Type": FORM}
        )
        refused(many, 400, "invalid_request")
        bad = anyone.post("/token", content=b"grant_type=%ff", headers={"Content-Type": FORM})
        refused(bad, 400, "invalid_request")
        other = anyone.put("/token")
    assert other.status_code == 405
    assert other.headers["allow"] == "GET, POST"


def test_a_refresh_token_ends_with_what_it_was_made_from(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Revoked, expired, or of a disabled user: refused with the reason, and so are the tokens that came of it."""
    with registry_in(tmp_path_factory.mktemp("ended")) as registry, registry.admin() as admin:
        Repository(admin, "a").push_image()

        def changed(statement: str) -> None:
            with sqlite3.connect(registry.settings.data / "entrepot.db") as database:
                database.execute(statement)
                database.execute("UPDATE versions SET access_version = access_version + 1")
            database.close()

        for reason, statement, undone in [
            ("revoked", "UPDATE credentials SET revoked_at = 1", "UPDATE credentials SET revoked_at = NULL"),
            ("expired", "UPDATE credentials SET expires_at = 1", "UPDATE credentials SET expires_at = NULL"),
            ("disabled", "UPDATE accounts SET disabled_at = 1", "UPDATE accounts SET disabled_at = NULL"),
        ]:
            with registry.client() as anyone:
                form = password_form(registry, access_type="offline")
                refresh = anyone.post("/token", data=form).json()["refresh_token"]
                token = refreshed(anyone, refresh, scope="repository:a:pull")
                with bearer(registry, token) as client:
                    assert client.get("/v2/a/manifests/v1").status_code == 200
                    assert client.get("/v2/").status_code == 200
                    changed(statement)
                    for path in ("/v2/a/manifests/v1", "/v2/"):
                        answer = client.get(path)
                        assert answer.status_code == 401
                        assert answer.json()["errors"][0]["detail"]["reason"] == reason
                        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
                assert refused(refreshed(anyone, refresh), 401, "invalid_grant") == {"reason": reason}
                changed(undone)


def test_what_lies_in_the_database_is_no_credential(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A refresh token is stored as a digest, and no row or log tells it."""
    with registry_in(tmp_path_factory.mktemp("stored")) as registry, registry.admin() as admin:
        refresh = admin.get("/token", params={"offline_token": "true"}).json()["refresh_token"]
        content = b"".join(path.read_bytes() for path in registry.settings.data.glob("entrepot.db*"))
    assert refresh[5:21].encode() in content
    assert refresh[21:].encode() not in content


def test_an_account_has_a_bounded_number_of_refresh_tokens(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The hundred newest stay; a machine that logs in without end fills nothing."""
    with registry_in(tmp_path_factory.mktemp("many")) as registry, registry.admin() as admin:
        tokens = [admin.get("/token", params={"offline_token": "true"}).json()["refresh_token"] for _ in range(103)]
        with registry.client() as anyone:
            found = [refreshed(anyone, token).status_code for token in (*tokens[:4], tokens[-1])]
    assert found == [401, 401, 401, 200, 200]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(codec="utf-8"), max_size=40)
        | st.from_regex(r"[a-z]{1,12}:[a-zA-Z0-9/._-]{0,20}:[a-z,*]{0,20}", fullmatch=True),
        max_size=5,
    )
)
def test_any_scopes_are_granted_in_part_or_refused(small_registry: RunningRegistry, scopes: list[str]) -> None:
    """Whatever is asked for, nobody gets more than everyone may, and nothing breaks."""
    with small_registry.client() as anyone:
        answer = anyone.get("/token", params=[("scope", scope) for scope in scopes])
        posted = anyone.post(
            "/token", data={**password_form(small_registry), "scope": [scope for scope in scopes if scope]}
        )
    assert answer.status_code in {200, 400}
    assert posted.status_code == answer.status_code
    if posted.status_code == 200:
        asked = {part for scope in scopes for part in scope.split(" ")}
        for granted in filter(None, posted.json()["scope"].split(" ")):
            kind, name, _ = granted.split(":")
            assert any(part.startswith((f"{kind}:", f"{kind}(")) and name in part for part in asked)
