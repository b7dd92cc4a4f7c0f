"""``entrepot admin --server``: the same commands, through the API of a registry elsewhere."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from entrepot.cli.server.admin import admin as command
from harness.administration import Administration
from harness.registry import LiveRegistry
from management.house import PASSWORD, House

Run = Callable[..., str]


@pytest.fixture
def there(registry: LiveRegistry, house: House, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against the registry; ``login`` is who, the administrator without it."""

    def run(*arguments: str, login: str = "admin", stdin: str | None = None, code: int = 0) -> str:
        password = registry.admin_password if login == "admin" else PASSWORD
        monkeypatch.setenv("ENTREPOT_CLIENT_PASSWORD", password)
        ended = CliRunner().invoke(command, [*arguments, "--server", registry.url, "--login", login], input=stdin)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            assert getattr(ended.exception, "code", None) == code, ended.exception
            return str(ended.exception)
        assert ended.exit_code == code, ended.output
        return ended.stdout

    return run


def documents(there: Run, here: Administration, *arguments: str) -> tuple[Any, Any]:
    """What a command prints as JSON there and here."""
    return json.loads(there(*arguments, "--output", "json")), here.json(*arguments)


def test_lists_are_alike(there: Run, here: Administration, house: House) -> None:
    """Each list says through the API what it says on the data."""
    house.repository("own/")
    house.robot("own/")
    for arguments in (
        ("user", "list"),
        ("group", "list"),
        ("robot", "list"),
        ("project", "list"),
        ("role", "list"),
        ("binding", "list", "--project", "own/"),
        ("repository", "list"),
        ("token", "list", "owner"),
        ("audit", "list", "--action", "project.add"),
    ):
        elsewhere, on_data = documents(there, here, *arguments)
        assert elsewhere == on_data
        assert elsewhere or arguments[0] in {"group", "token"}


def test_users_and_groups(there: Run, house: House) -> None:
    """Made, put together, shut out and taken away."""
    user, group = house.name("user"), house.name("group")
    there("user", "add", user, "--password-stdin", stdin="a password\n")
    there("group", "create", group)
    there("group", "add", group, user)
    assert json.loads(there("group", "members", group, "--output", "json")) == [{"name": user, "source": "manual"}]
    there("group", "remove", group, user)
    there("user", "passwd", user, "--password-stdin", stdin="another\n")
    there("user", "disable", user)
    there("user", "enable", user)
    there("user", "delete", user)
    there("group", "delete", group)
    assert "taken" in there("group", "create", house.made("/groups", name=house.name("g"))["name"], code=1)
    assert "none of this name" in there("user", "delete", user, code=3)


def test_robots_tokens_and_roles(there: Run, house: House) -> None:
    """Owners administer their project from afar, and nothing else."""
    robot, role = house.name("robot"), house.name("role")
    there("robot", "create", robot, "--project", "own/", "--repositories", "own/**", "--expires", "1d", login="owner")
    assert "entr_" in there("robot", "rotate", robot, login="owner")
    there("robot", "disable", robot, login="maintainer")
    trust = there("robot", "trust", "add", robot, "--issuer", "https://issuer.example", "--claim", "sub=a:*").strip()
    assert trust in there("robot", "trust", "list", robot)
    there("robot", "trust", "remove", robot, trust)
    assert "none of this name" in there("robot", "delete", robot, login="stranger", code=3)
    there("robot", "delete", robot, login="owner")
    assert "entp_" in there("token", "create", "owner", "--name", "ci", "--scope", "own/**:pull", login="owner")
    (token,) = json.loads(there("token", "list", "owner", "--output", "json", login="owner"))
    there("token", "revoke", token["id"], login="owner")
    assert "denied" in there("user", "list", login="owner", code=5)
    there("role", "create", role, "--action", "pull")
    there("role", "delete", role)


def test_projects_bindings_and_repositories(there: Run, here: Administration, house: House) -> None:
    """Made, explained, renamed, planned and deleted."""
    project, (_, user) = house.name("project"), house.user()
    there("project", "create", f"own/{project}", login="owner")
    binding = there("binding", "add", "--user", user, "--role", "reader", "--repositories", "own/**").strip()
    said, on_data = documents(there, here, "explain", user, "pull", "own/x")
    assert said == on_data
    assert said["binding"] == binding
    there("binding", "remove", binding)
    assert there("explain", user, "pull", "own/x", code=5) == "no: no binding gives it\n"
    there("project", "delete", f"own/{project}")
    repository = house.repository("own/")
    there("repository", "rename", repository, f"{repository}-new", login="owner")
    planned, on_data = documents(there, here, "repository", "delete", f"{repository}-new", "--plan")
    assert planned == on_data
    there("repository", "delete", f"{repository}-new", "--yes", login="maintainer")


def test_what_goes_wrong_is_told(there: Run, registry: LiveRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password, no credentials, a wrong address and nobody there end with codes of their own."""
    monkeypatch.setenv("ENTREPOT_CLIENT_PASSWORD", "wrong")
    for arguments, code in (
        (["--server", registry.url, "--login", "owner"], 4),
        (["--server", "ftp://elsewhere", "--login", "owner"], 2),
        (["--server", "http://127.0.0.1:9", "--login", "owner"], 6),
        (["--server", f"{registry.url}/elsewhere", "--login", "owner"], 1),
    ):
        ended = CliRunner().invoke(command, ["user", "list", *arguments])
        assert getattr(ended.exception, "code", None) == code, ended.output
    monkeypatch.delenv("ENTREPOT_CLIENT_PASSWORD")
    ended = CliRunner().invoke(command, ["user", "list", "--server", registry.url])
    assert getattr(ended.exception, "code", None) == 4
