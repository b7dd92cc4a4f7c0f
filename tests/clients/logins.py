"""Every way to log in with a name and a password, and what each client does after it."""

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from clients.requests import MANIFEST, TOKEN, Watch
from harness.administration import Administration
from harness.registry import ADMIN, LiveRegistry

WAYS = ("robot", "token", "key file")


# What clients say of a wrong password or none, each in its own words.
REFUSED = re.compile(
    r"unauthorized|denied|invalid username/password|no basic auth credentials|authentication required", re.IGNORECASE
)


@dataclass(frozen=True)
class Login:
    """A user name, and what is given as the password."""

    name: str
    password: str


@dataclass(frozen=True)
class Logins:
    """Who may push and pull below ``logins/`` by each way, a robot that may only pull there, and who may do nothing."""

    writers: dict[str, Login]
    puller: Login
    over: dict[str, Login]
    """Logins that count no more, by what the registry says of them."""


class Carrier(Protocol):
    """A client of one person that brings something small of its kind to a registry, and fetches it."""

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in, as the admin with the right password unless others are given."""
        ...

    def bring(self, reference: str) -> object:
        """Push something; returns what ``fetch`` is to return."""
        ...

    def bring_in_vain(self, reference: str) -> str:
        """Push something where that is refused; returns what the client says."""
        ...

    def fetch(self, reference: str) -> object:
        """Pull it."""
        ...


def make_logins(registry: LiveRegistry, folder: Path) -> Logins:
    """Make the accounts in a registry."""
    admin = Administration(registry.data)
    number = secrets.token_hex(4)
    key_file = folder / "key.json"
    robot = ("robot", "create", f"builder-{number}", "--role", "writer", "--repositories", "logins/**")
    admin(*robot, "--key-file", str(key_file))
    key = key_file.read_text(encoding="utf-8")
    user = f"ann-{number}"
    admin.user(user, "a password that no client is given")
    admin("binding", "add", "--user", user, "--role", "writer", "--repositories", "logins/**")
    token = admin.json("token", "create", user, "--name", "laptop")["token"]
    revoked = admin.json("token", "create", user, "--name", "lost")["token"]
    admin("token", "revoke", admin.json("token", "list", user)[0]["id"])
    disabled = Login(f"off-{number}", admin.robot(f"off-{number}", "writer", "logins/**"))
    admin("robot", "disable", disabled.name)
    over = {
        "the credential was revoked": Login(user, revoked),
        "the account is disabled": disabled,
        "the key file has no valid username": Login("_json_key", json.dumps({**json.loads(key), "username": None})),
    }
    writers = (Login(f"builder-{number}", json.loads(key)["secret"]), Login(user, token), Login("_json_key", key))
    puller = Login(f"node-{number}", admin.robot(f"node-{number}", "reader", "logins/**"))
    return Logins(dict(zip(WAYS, writers, strict=True)), puller, over)


class LoginContract:
    """Log in by every way, then push and pull. A client's tests subclass this and say what ``carrier`` is."""

    says_why: ClassVar[bool] = True
    """Whether the client shows what the registry says of a login that it refuses."""

    @pytest.fixture
    def place(self) -> str:
        """A repository of the test's own."""
        return f"logins/{secrets.token_hex(6)}/web"

    @pytest.mark.parametrize("way", WAYS)
    def test_push_and_pull_by_every_way_to_log_in(
        self, carrier: Carrier, logins: Logins, private_registry: LiveRegistry, place: str, way: str
    ) -> None:
        """As a robot with its secret, with a personal token, with a key file; each request is made with a token."""
        reference = f"{private_registry.address}/{place}:0.1.0"
        tokens, watch = Watch(private_registry, None), Watch(private_registry, place)
        login = logins.writers[way]
        carrier.log_in(private_registry, login.password, name=login.name)

        brought = carrier.bring(reference)
        fetched = carrier.fetch(reference)

        assert fetched == brought
        watch.wait_for("PUT", MANIFEST, 201)
        assert tokens.count("GET", TOKEN, 200) + tokens.count("POST", TOKEN, 200) >= 2
        assert tokens.count("GET", TOKEN, 401) == 0

    def test_a_robot_that_may_only_pull_is_told_what_a_push_takes(
        self, carrier: Carrier, logins: Logins, private_registry: LiveRegistry, place: str
    ) -> None:
        """It pulls; its push changes nothing, and the client shows which right that takes."""
        reference = f"{private_registry.address}/{place}:0.1.0"
        writer = logins.writers["robot"]
        carrier.log_in(private_registry, writer.password, name=writer.name)
        brought = carrier.bring(reference)
        carrier.log_in(private_registry, logins.puller.password, name=logins.puller.name)
        watch = Watch(private_registry, place)

        said = carrier.bring_in_vain(reference.replace("0.1.0", "0.2.0"))

        assert re.search(rf"denied.*repository:{place}:pull,push", said)
        assert watch.count("PUT", MANIFEST, 201) == 0
        assert carrier.fetch(reference) == brought

    def test_a_login_that_counts_no_more_is_refused(
        self, carrier: Carrier, logins: Logins, private_registry: LiveRegistry
    ) -> None:
        """A revoked token, a disabled robot, a damaged key file: refused, and the client shows why if it shows any."""
        for why, login in logins.over.items():
            said = carrier.log_in(private_registry, login.password, name=login.name, expected_to_fail=True)

            assert REFUSED.search(said)
            assert login.password not in said
            assert not self.says_why or f"authentication required: {why}" in said
