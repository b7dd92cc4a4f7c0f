"""Every route of the management API, for every kind of caller, with an object of their project and a foreign one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from management.house import API, CALLERS, PASSWORD, ROLES, House

Request = tuple[str, dict[str, Any]]
"""The path below ``/api/v1`` and the rest of a request."""

PULLERS = frozenset(ROLES)
MAINTAINERS = frozenset({"maintainer", "owner"})
OWNERS = frozenset({"owner"})
EVERYONE = frozenset(CALLERS) - {"anonymous"}
NOBODY = frozenset[str]()


@dataclass(frozen=True)
class Cell:
    """A route: the answer to those who may, besides the administrator, and to those who may not.

    ``make`` prepares an object, in ``own/`` or ``foreign/``, and says how it is asked for. Whoever sees what they may
    not change is told so; everybody else gets ``refused``.
    """

    method: str
    path: str
    allowed: frozenset[str]
    ok: int
    refused: int
    make: Callable[[House, str], Request]
    seen_by: frozenset[str] = field(default=NOBODY)

    def expected(self, caller: str, project: str) -> int:
        """The status that this caller gets."""
        if caller == "anonymous":
            return 401
        if caller == "admin" or self.allowed == EVERYONE:
            return self.ok
        role = caller
        if project == "foreign/":
            role = "owner" if caller == "stranger" else "nobody"
        if role in self.allowed:
            return self.ok
        return 403 if role in self.seen_by else self.refused

    @override
    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def by_id(
    noun: str, find: Callable[[House, str], str], tail: str = "", **document: Any
) -> Callable[[House, str], Request]:
    """A request for one object by its id."""

    def make(house: House, project: str) -> Request:
        given = {"json": document} if document else {}
        return f"/{noun}/{find(house, project)}{tail}", given

    return make


def plain(path: str, **document: Any) -> Callable[[House, str], Request]:
    """A request that is the same for all; values that can be called make a name."""

    def make(house: House, project: str) -> Request:
        body = {key: value(house, project) if callable(value) else value for key, value in document.items()}
        return path, {"json": body} if body else {}

    return make


def asked(path: str, what: Callable[[House, str], dict[str, str]], **document: Any) -> Callable[[House, str], Request]:
    """A request about a repository, which is named in the query."""

    def make(house: House, project: str) -> Request:
        body = {key: value(house, project) for key, value in document.items()}
        return path, {"params": what(house, project), **({"json": body} if body else {})}

    return make


def user(house: House, project: str) -> str:
    """The id of a new user."""
    return house.user()[0]


def group(house: House, project: str) -> str:
    """The id of a new group."""
    return str(house.made("/groups", name=house.name("group"))["id"])


def robot(house: House, project: str) -> str:
    """The id of a new robot of the project."""
    return house.robot(project)


def token(house: House, project: str) -> str:
    """The id of a token of a user who is none of the callers."""
    name = house.user()[1]
    house.made("/tokens", user=name, name="t")
    (found,) = house.call("admin", "GET", "/tokens", params={"user": name}).json()
    return str(found["id"])


def subproject(house: House, project: str) -> str:
    """The id of a new project beneath."""
    name = f"{project}{house.name('deep')}/"
    house.made("/projects", name=name)
    return house.id_of("projects", name)


def this_project(house: House, project: str) -> str:
    """The id of the project itself."""
    return house.id_of("projects", project)


def binding(house: House, project: str) -> str:
    """The id of a new binding in the project."""
    return house.binding(project)


def named(house: House, project: str) -> dict[str, str]:
    """A new repository, as ``name``."""
    return {"name": house.repository(project)}


def within(house: House, project: str) -> dict[str, str]:
    """Likewise, as ``repository``."""
    return {"repository": house.repository(project)}


def tagged(house: House, project: str) -> dict[str, str]:
    """A tag of a new repository."""
    return {"repository": house.repository(project), "tag": "v1"}


def manifest(house: House, project: str) -> dict[str, str]:
    """A manifest of a new repository."""
    name = house.repository(project)
    (found,) = house.call("admin", "GET", "/manifests", params={"repository": name}).json()["items"]
    return {"repository": name, "digest": found["digest"]}


def trusting(house: House, project: str) -> str:
    """The path of a trust of a new robot."""
    robot_id = house.robot(project)
    document = {"issuer": "https://issuer.example", "claims": {"sub": "repo:x:*"}}
    made = house.call("admin", "POST", f"/robots/{robot_id}/trusts", json=document).json()
    return f"{robot_id}/trusts/{made['id']}"


def member(house: House, project: str) -> str:
    """The path of a member of a new group."""
    (account, name), group_id = house.user(), group(house, project)
    house.made(f"/groups/{group_id}/members", name=name)
    return f"{group_id}/members/{account}"


def role_name(house: House, project: str) -> str:
    """The name of a new role."""
    name = house.name("role")
    house.made("/roles", name=name, actions=["pull"])
    return name


def new_name(house: House, project: str) -> str:
    """A name that nothing has."""
    return house.name()


def name_beneath(house: House, project: str) -> str:
    """A name in the project that nothing has."""
    return f"{project}{house.name('deep')}"


def everything_beneath(house: House, project: str) -> str:
    """The pattern of all repositories of the project."""
    return f"{project}**"


def for_somebody(house: House, project: str) -> dict[str, str]:
    """The subject of a binding."""
    return {"kind": "account", "name": house.user()[1]}


def of_project(house: House, project: str) -> str:
    """The name of the project."""
    return project


def explained(house: House, project: str) -> dict[str, str]:
    """A question about the project."""
    return {"subject": "nobody", "action": "pull", "repository": f"{project}app"}


def listed(house: House, project: str) -> dict[str, str]:
    """A list of what belongs to the project."""
    return {"project": project}


CELLS = [
    Cell("GET", "/whoami", EVERYONE, 200, 401, plain("/whoami")),
    Cell("POST", "/whoami/password", NOBODY, 401, 401, plain("/whoami/password", current="wrong", password=PASSWORD)),
    Cell("GET", "/users", NOBODY, 200, 403, plain("/users")),
    Cell("POST", "/users", NOBODY, 201, 403, plain("/users", name=new_name, password=PASSWORD)),
    Cell("GET", "/users/{user_id}", NOBODY, 200, 403, by_id("users", user)),
    Cell("PATCH", "/users/{user_id}", NOBODY, 200, 403, by_id("users", user, disabled=True)),
    Cell("DELETE", "/users/{user_id}", NOBODY, 204, 403, by_id("users", user)),
    Cell("POST", "/users/{user_id}/password", NOBODY, 204, 403, by_id("users", user, "/password", password=PASSWORD)),
    Cell("GET", "/groups", NOBODY, 200, 403, plain("/groups")),
    Cell("POST", "/groups", NOBODY, 201, 403, plain("/groups", name=new_name)),
    Cell("GET", "/groups/{group_id}", NOBODY, 200, 403, by_id("groups", group)),
    Cell("PATCH", "/groups/{group_id}", NOBODY, 200, 403, by_id("groups", group, description="x")),
    Cell("DELETE", "/groups/{group_id}", NOBODY, 204, 403, by_id("groups", group)),
    Cell("GET", "/groups/{group_id}/members", NOBODY, 200, 403, by_id("groups", group, "/members")),
    Cell("POST", "/groups/{group_id}/members", NOBODY, 204, 403, by_id("groups", group, "/members", name="nobody")),
    Cell("DELETE", "/groups/{group_id}/members/{account_id}", NOBODY, 204, 403, by_id("groups", member)),
    Cell("GET", "/robots", EVERYONE, 200, 403, plain("/robots")),
    Cell("POST", "/robots", MAINTAINERS, 201, 403, plain("/robots", name=new_name, project=of_project)),
    Cell("GET", "/robots/{robot_id}", MAINTAINERS, 200, 404, by_id("robots", robot)),
    Cell("PATCH", "/robots/{robot_id}", MAINTAINERS, 200, 404, by_id("robots", robot, disabled=True)),
    Cell("DELETE", "/robots/{robot_id}", MAINTAINERS, 204, 404, by_id("robots", robot)),
    Cell("POST", "/robots/{robot_id}/secrets", MAINTAINERS, 201, 404, by_id("robots", robot, "/secrets", overlap=1)),
    Cell("GET", "/robots/{robot_id}/trusts", MAINTAINERS, 200, 404, by_id("robots", robot, "/trusts")),
    Cell(
        "POST",
        "/robots/{robot_id}/trusts",
        MAINTAINERS,
        201,
        404,
        by_id("robots", robot, "/trusts", issuer="https://issuer.example", claims={"sub": "repo:x:*"}),
    ),
    Cell("DELETE", "/robots/{robot_id}/trusts/{trust_id}", MAINTAINERS, 204, 404, by_id("robots", trusting)),
    Cell("GET", "/tokens", EVERYONE, 200, 403, plain("/tokens")),
    Cell("POST", "/tokens", EVERYONE, 201, 403, plain("/tokens", name=new_name, lifetime=60)),
    Cell("GET", "/tokens/{token_id}", NOBODY, 200, 404, by_id("tokens", token)),
    Cell("DELETE", "/tokens/{token_id}", NOBODY, 204, 404, by_id("tokens", token)),
    Cell("GET", "/projects", EVERYONE, 200, 403, plain("/projects")),
    Cell("POST", "/projects", OWNERS, 201, 403, plain("/projects", name=name_beneath)),
    Cell("POST", "/projects/plan", OWNERS, 200, 403, plain("/projects/plan", name=name_beneath)),
    Cell("GET", "/projects/{project_id}", MAINTAINERS, 200, 404, by_id("projects", this_project)),
    Cell(
        "PATCH",
        "/projects/{project_id}",
        OWNERS,
        200,
        404,
        by_id("projects", this_project, description="x"),
        seen_by=MAINTAINERS,
    ),
    Cell("DELETE", "/projects/{project_id}", NOBODY, 204, 404, by_id("projects", subproject)),
    Cell("GET", "/roles", EVERYONE, 200, 403, plain("/roles")),
    Cell("POST", "/roles", NOBODY, 201, 403, plain("/roles", name=new_name, actions=["pull"])),
    Cell("DELETE", "/roles/{name}", NOBODY, 204, 403, by_id("roles", role_name)),
    Cell("GET", "/bindings", OWNERS, 200, 403, asked("/bindings", listed)),
    Cell(
        "POST",
        "/bindings",
        OWNERS,
        201,
        403,
        plain("/bindings", subject=for_somebody, role="owner", repositories=everything_beneath),
    ),
    Cell("GET", "/bindings/{binding_id}", OWNERS, 200, 404, by_id("bindings", binding)),
    Cell("DELETE", "/bindings/{binding_id}", OWNERS, 204, 404, by_id("bindings", binding)),
    Cell("GET", "/explain", OWNERS, 200, 403, asked("/explain", explained)),
    Cell("GET", "/audit", NOBODY, 200, 403, plain("/audit")),
    Cell("GET", "/keys", EVERYONE, 200, 403, plain("/keys")),
    Cell("GET", "/repositories", EVERYONE, 200, 403, plain("/repositories")),
    Cell("GET", "/repository", PULLERS, 200, 404, asked("/repository", named)),
    Cell(
        "PATCH",
        "/repository",
        OWNERS,
        200,
        404,
        asked("/repository", named, name=name_beneath),
        seen_by=PULLERS,
    ),
    Cell("GET", "/repository/deletion", MAINTAINERS, 200, 404, asked("/repository/deletion", named), seen_by=PULLERS),
    Cell("DELETE", "/repository", MAINTAINERS, 200, 404, asked("/repository", named), seen_by=PULLERS),
    Cell("GET", "/tags", PULLERS, 200, 404, asked("/tags", within)),
    Cell("DELETE", "/tags", MAINTAINERS, 204, 404, asked("/tags", tagged), seen_by=PULLERS),
    Cell("GET", "/manifests", PULLERS, 200, 404, asked("/manifests", within)),
    Cell("GET", "/manifest", PULLERS, 200, 404, asked("/manifest", manifest)),
    Cell("DELETE", "/manifest", MAINTAINERS, 204, 404, asked("/manifest", manifest), seen_by=PULLERS),
]


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("project", ["own/", "foreign/"])
def test_who_may(house: House, cell: Cell, project: str) -> None:
    """Every caller gets the answer of its rights, and what it may not see looks like what is not there."""
    for caller in CALLERS:
        path, given = cell.make(house, project)
        answer = house.call(caller, cell.method, path, **given)
        assert answer.status_code == cell.expected(caller, project), (caller, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


def test_every_route_has_its_row(house: House) -> None:
    """A route that is added has to say who may use it."""
    described = house.call("anonymous", "GET", "/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path.removeprefix(API)}" for path, found in described.items() for method in found}
    assert routes == set(map(str, CELLS))


@pytest.mark.parametrize("cell", [cell for cell in CELLS if "{" in cell.path], ids=str)
def test_forbidden_looks_like_unknown(house: House, cell: Cell) -> None:
    """For an id that does not exist, whoever may not see it gets the very same answer."""
    path, given = cell.make(house, "foreign/")
    known = house.call("nobody", cell.method, path, **given)
    words = [house.name().replace("-", "") if len(word) > 20 else word for word in path.split("/")]
    unknown = house.call("nobody", cell.method, "/".join(words), **given)
    assert unknown.status_code == known.status_code
    assert unknown.json()["type"] == known.json()["type"]
