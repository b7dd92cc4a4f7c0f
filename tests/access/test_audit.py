"""The record of logins, refusals and changes: who, from where, with what, and never a secret."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.administration import Administration
from harness.ports import wait_until
from harness.protocol import Repository
from harness.registry import LiveRegistry, running_registry

PASSWORD = "planted-password-of-ann"
WRONG = "planted-wrong-password"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """The registry's database; None is its own file."""
    return request.getfixturevalue("postgresql").fresh_database() if request.param == "postgresql" else None


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, database_url: str | None) -> dict[str, Any]:
    """What was done at a registry with two workers that has stopped since; its secrets are in it."""
    folder = tmp_path_factory.mktemp("audit")
    environment = {} if database_url is None else {"ENTREPOT_DATABASE": database_url}
    flags = ("--workers", "2", "--anonymous", "none")
    with running_registry(folder, *flags, environment=environment) as registry:
        done = act(registry, Administration(registry.data, database_url))
    return {**done, "admin": Administration(folder / "data", database_url), "folder": folder}


def act(registry: LiveRegistry, admin: Administration) -> dict[str, Any]:
    """Log in and be refused in each way."""
    admin.user("ann", PASSWORD)
    admin("binding", "add", "--user", "ann", "--role", "maintainer", "--repositories", "team/**")
    robot = admin.robot("node", "reader", "team/**")
    token = admin.json("token", "create", "ann", "--name", "ci", "--scope", "team/**:pull")["token"]
    with httpx.Client(base_url=registry.url, auth=("ann", PASSWORD)) as ann:
        repository = Repository(ann, "team/app")
        repository.push_image()
        for _ in range(5):
            assert ann.get("/v2/team/app/manifests/v1").status_code == 200
        bearer = ann.get("/token", params={"scope": "repository:team/app:pull"}).json()["token"]
        assert ann.delete("/v2/team/app/manifests/v1").status_code == 202
        repository.push_image()
    form = {"grant_type": "password", "username": "ann", "password": WRONG, "service": "x", "client_id": "c"}
    assert httpx.post(f"{registry.url}/token", data=form).status_code == 401
    for name in ("ann", "ann", WRONG):
        assert httpx.get(f"{registry.url}/v2/", auth=(name, WRONG)).status_code == 401
    with httpx.Client(base_url=registry.url, auth=("node", robot)) as node:
        for _ in range(3):
            assert node.post("/v2/team/app/blobs/uploads/").status_code == 403
    assert httpx.get(f"{registry.url}/v2/", auth=("ann", token)).status_code == 200
    assert httpx.get(f"{registry.url}/v2/").status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{registry.url}/api/v1/whoami", headers=headers).status_code == 200
    return {"secrets": [PASSWORD, WRONG, robot, token, bearer], "token": token}


def rows(told: dict[str, Any], *filters: str) -> list[dict[str, Any]]:
    """The audit, newest first."""
    found = told["admin"].json("audit", "list", "--limit", "10000", *filters)
    assert isinstance(found, list)
    return found


def test_logins_are_told_once(told: dict[str, Any]) -> None:
    """Of an account, an address and a way one row per process, however many requests; with the token that was shown."""
    logins = rows(told, "--action", "login", "--actor", "ann")
    ways = {(one["detail"]["way"], bool(one["credential"])) for one in logins}
    assert ways == {("request", False), ("token", False), ("request", True), ("management", True)}
    assert len(logins) <= 2 * len(ways)
    assert {one["address"] for one in logins} == {"127.0.0.1"}
    assert told["token"].startswith(f"entp_{next(one['credential'] for one in logins if one['credential'])}")


def test_refusals_are_told_together(told: dict[str, Any]) -> None:
    """How often in a minute, whose, and which right was missing."""
    denied = rows(told, "--outcome", "refused", "--actor", "node")
    assert sum(one["times"] for one in denied) == 3
    assert len(denied) <= 4
    assert denied[0]["action"] == "POST /v2/<name>/blobs/uploads/"
    assert denied[0]["repository"] == "team/app"
    assert denied[0]["detail"] == {"scope": "repository:team/app:pull,push"}


def test_wrong_passwords_are_told_with_the_account_that_was_meant(told: dict[str, Any]) -> None:
    """A name that no account has may be a password in the wrong field, and is not kept."""
    wrong = [one for one in rows(told, "--outcome", "refused") if one["detail"].get("reason") == "credentials"]
    assert sum(one["times"] for one in wrong if one["actor"] == "ann") == 3
    assert sum(one["times"] for one in wrong if one["actor_kind"] == "unknown") == 1
    assert {one["actor"] for one in wrong} == {"ann", ""}


def test_asking_for_credentials_is_no_refusal(told: dict[str, Any]) -> None:
    """What every client meets on its way is not recorded."""
    reasons = {one["detail"].get("reason") for one in rows(told, "--outcome", "refused")}
    assert not reasons & {"anonymous", "insufficient-scope"}


def test_changes_are_told_with_where_they_came_from(told: dict[str, Any]) -> None:
    """A deletion over HTTP has its address; what an operator did has the operator's name."""
    (deleted,) = rows(told, "--action", "tag.delete")
    assert (deleted["actor"], deleted["address"]) == ("ann", "127.0.0.1")
    assert (deleted["repository"], deleted["reference"]) == ("team/app", "v1")
    made = rows(told, "--action", "user.add")
    assert [one["actor_kind"] for one in made] == ["operator"]


def test_secrets_are_nowhere(told: dict[str, Any]) -> None:
    """Neither in rows nor in the database's file, as far as they are more than hashes of it."""
    document = json.dumps(rows(told))
    for secret in told["secrets"]:
        assert secret not in document


def test_filters_and_times(told: dict[str, Any]) -> None:
    """Each narrows the list, and what is none is told."""
    everything = rows(told)
    assert len(everything) > 10
    assert rows(told, "--since", "1h") == everything
    assert rows(told, "--until", "1h") == []
    assert rows(told, "--address", "192.0.2.1") == []
    assert len(told["admin"].json("audit", "list", "--limit", "2")) == 2
    assert "neither a duration" in told["admin"]("audit", "list", "--since", "yesterday", code=2)


def test_last_use_is_shown(told: dict[str, Any]) -> None:
    """Of tokens and of robots."""
    (token,) = told["admin"].json("token", "list", "ann")
    assert token["last_used_at"] is not None
    (robot,) = told["admin"].json("robot", "list")
    assert robot["last_login_at"] is not None


def test_it_is_written_while_the_registry_runs(tmp_path: Path) -> None:
    """Within seconds, not only at the end."""
    with running_registry(tmp_path) as registry:
        admin = Administration(registry.data)
        admin.user("ann", PASSWORD)
        assert httpx.get(f"{registry.url}/v2/", auth=("ann", PASSWORD)).status_code == 200

        def is_told() -> bool:
            return bool(admin.json("audit", "list", "--action", "login"))

        wait_until(is_told, "the login is told", seconds_at_most=60)
