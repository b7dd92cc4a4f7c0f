"""Two projects, ``own/`` and ``foreign/``, and users who have each of the roles in the first."""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from harness.protocol import Repository
from harness.registry import LiveRegistry

API = "/api/v1"
PASSWORD = "a password for tests"
ROLES = ("reader", "pusher", "writer", "maintainer", "owner")
CALLERS = ("anonymous", "nobody", *ROLES, "stranger", "admin")
"""A stranger owns the other project; nobody has an account and no binding."""


@dataclass(frozen=True)
class House:
    """Clients by caller."""

    url: str
    clients: dict[str, httpx.Client]

    def close(self) -> None:
        """Close the clients."""
        for client in self.clients.values():
            client.close()

    @property
    def admin(self) -> httpx.Client:
        """The administrator."""
        return self.clients["admin"]

    def call(self, caller: str, method: str, path: str, **given: Any) -> httpx.Response:
        """What the API answers to a caller."""
        return self.clients[caller].request(method, f"{API}{path}", **given)

    def made(self, path: str, **document: Any) -> Any:
        """What the administrator made."""
        answer = self.call("admin", "POST", path, json=document)
        assert answer.status_code in {200, 201, 204}, answer.text
        return answer.json() if answer.content else None

    def id_of(self, noun: str, name: str) -> str:
        """The id of what is called so."""
        (found,) = self.call("admin", "GET", f"/{noun}", params={"name": name}).json()["items"]
        return str(found["id"])

    def name(self, word: str = "t") -> str:
        """A name that nothing has."""
        return f"{word}-{secrets.token_hex(5)}"

    def user(self) -> tuple[str, str]:
        """The id and name of a new user."""
        name = self.name("user")
        return str(self.made("/users", name=name, password=PASSWORD)["id"]), name

    def robot(self, project: str = "own/") -> str:
        """The id of a new robot of a project, that pulls there."""
        name = self.name("robot")
        self.made("/robots", name=name, project=project, repositories=[f"{project}**"])
        return self.id_of("robots", name)

    def binding(self, project: str) -> str:
        """The id of a new binding in a project."""
        subject = {"kind": "account", "name": self.user()[1]}
        return str(self.made("/bindings", subject=subject, role="reader", repositories=f"{project}**")["id"])

    def repository(self, project: str) -> str:
        """A new repository with an image."""
        name = f"{project}{self.name('app')}"
        Repository(self.admin, name).push_image()
        return name


def furnish(registry: LiveRegistry) -> House:
    """Make projects, users and bindings."""

    def client(name: str, password: str) -> httpx.Client:
        return httpx.Client(base_url=registry.url, auth=(name, password), timeout=60)

    house = House(
        registry.url,
        {"anonymous": httpx.Client(base_url=registry.url), "admin": client("admin", registry.admin_password)},
    )
    for project in ("own/", "foreign/"):
        house.made("/projects", name=project)
    for caller in ("nobody", *ROLES, "stranger"):
        house.made("/users", name=caller, password=PASSWORD)
        house.clients[caller] = client(caller, PASSWORD)
    for role in ROLES:
        house.made("/bindings", subject={"kind": "account", "name": role}, role=role, repositories="own/**")
    subject = {"kind": "account", "name": "stranger"}
    house.made("/bindings", subject=subject, role="owner", repositories="foreign/**")
    return house
