"""Every route of the distribution API, for every kind of caller, on a repository of their project and a foreign one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from typing_extensions import override

from harness.protocol import OCI_MANIFEST, digest_of, image
from management.house import CALLERS, ROLES, House

PULLERS = frozenset(ROLES)
PUSHERS = PULLERS - {"reader"}
WRITERS = PUSHERS - {"pusher"}
MAINTAINERS = frozenset({"maintainer", "owner"})
LAYER = b"a layer of the matrix"


@dataclass(frozen=True)
class Asked:
    """A request below ``/v2/<name>/``; ``path`` may be absolute."""

    method: str
    path: str
    given: dict[str, Any]


Make = Callable[[House, str, httpx.Client], Asked]
"""Prepares a new repository's content, by the administrator or by the caller itself, and says what is asked."""


@dataclass(frozen=True)
class Cell:
    """An action on a route: who may, and the answer to those who may; everybody else is refused with 403."""

    title: str
    allowed: frozenset[str]
    ok: int
    make: Make

    def expected(self, caller: str, project: str) -> int:
        """The status that this caller gets."""
        if caller == "anonymous":
            return 401
        role = caller
        if project == "foreign/":
            role = {"stranger": "owner", "admin": "admin"}.get(caller, "nobody")
        return self.ok if role == "admin" or role in self.allowed else 403

    @override
    def __str__(self) -> str:
        return self.title


def fixed(method: str, path: str, **given: Any) -> Make:
    """The same request for everybody."""

    def make(house: House, name: str, client: httpx.Client) -> Asked:
        return Asked(method, path, given)

    return make


def pushed_blob(method: str) -> Make:
    """A request for a blob that no manifest names."""

    def make(house: House, name: str, client: httpx.Client) -> Asked:
        content = house.name().encode()
        blob = house.admin.post(f"/v2/{name}/blobs/uploads/", params={"digest": digest_of(content)}, content=content)
        assert blob.status_code == 201
        return Asked(method, f"blobs/{digest_of(content)}", {})

    return make


def by_digest(method: str) -> Make:
    """A request for the repository's manifest by its digest."""

    def make(house: House, name: str, client: httpx.Client) -> Asked:
        digest = house.admin.head(f"/v2/{name}/manifests/v1").headers["docker-content-digest"]
        return Asked(method, f"manifests/{digest}", {})

    return make


def put(tag: str, *, other: bool = False) -> Make:
    """A push of the manifest that is there, or of another one."""

    def make(house: House, name: str, client: httpx.Client) -> Asked:
        for content in (b"{}", LAYER):
            digest = digest_of(content)
            house.admin.post(f"/v2/{name}/blobs/uploads/", params={"digest": digest}, content=content)
        document = json.dumps(image(LAYER)).encode()
        if not other:
            document = house.admin.get(f"/v2/{name}/manifests/v1").content
        return Asked("PUT", f"manifests/{tag}", {"content": document, "headers": {"Content-Type": OCI_MANIFEST}})

    return make


def on_own_session(method: str) -> Make:
    """A request on a session that the caller has opened, if it may; else on one of the administrator."""

    def make(house: House, name: str, client: httpx.Client) -> Asked:
        opened = client.post(f"/v2/{name}/blobs/uploads/")
        if opened.status_code != 202:
            opened = house.admin.post(f"/v2/{name}/blobs/uploads/")
        location = opened.headers["location"]
        given: dict[str, Any] = {}
        if method in {"PATCH", "PUT"}:
            given["content"] = LAYER
        if method == "PUT":
            location += f"{'&' if '?' in location else '?'}digest={digest_of(LAYER)}"
        return Asked(method, location, given)

    return make


def on_a_session_of_others(method: str) -> Make:
    """A request on a session that somebody else has opened."""

    def make(house: House, name: str, client: httpx.Client) -> Asked:
        opener = house.clients["owner" if name.startswith("own/") else "stranger"]
        if opener is client:
            opener = house.admin
        return Asked(method, opener.post(f"/v2/{name}/blobs/uploads/").headers["location"], {"content": LAYER})

    return make


def mount(house: House, name: str, client: httpx.Client) -> Asked:
    """A mount from a repository of the same project, to which the caller may push."""
    source = house.repository(name.partition("/")[0] + "/")
    return Asked("POST", "blobs/uploads/", {"params": {"mount": digest_of(b"{}"), "from": source}})


def mount_from_elsewhere(house: House, name: str, client: httpx.Client) -> Asked:
    """A mount of content that is in the other project alone, which nobody but the administrator may pull there."""
    other = "foreign/" if name.startswith("own/") else "own/"
    source, content = house.repository(other), house.name().encode()
    house.admin.post(f"/v2/{source}/blobs/uploads/", params={"digest": digest_of(content)}, content=content)
    return Asked("POST", "blobs/uploads/", {"params": {"mount": digest_of(content), "from": source}})


CELLS = [
    Cell("GET tags", PULLERS, 200, fixed("GET", "tags/list")),
    Cell("GET manifest by tag", PULLERS, 200, fixed("GET", "manifests/v1")),
    Cell("HEAD manifest by tag", PULLERS, 200, fixed("HEAD", "manifests/v1")),
    Cell("GET manifest by digest", PULLERS, 200, by_digest("GET")),
    Cell("GET unknown manifest", PULLERS, 404, fixed("GET", "manifests/none")),
    Cell("GET blob", PULLERS, 200, pushed_blob("GET")),
    Cell("HEAD blob", PULLERS, 200, pushed_blob("HEAD")),
    Cell("GET referrers", PULLERS, 200, fixed("GET", f"referrers/{digest_of(b'x')}")),
    Cell("PUT manifest under a new tag", PUSHERS, 201, put("v2")),
    Cell("PUT the same manifest under its tag", PUSHERS, 201, put("v1")),
    Cell("PUT another manifest under a tag that is there", WRITERS, 201, put("v1", other=True)),
    Cell("DELETE tag", MAINTAINERS, 202, fixed("DELETE", "manifests/v1")),
    Cell("DELETE manifest", MAINTAINERS, 202, by_digest("DELETE")),
    Cell("DELETE blob", MAINTAINERS, 202, pushed_blob("DELETE")),
    Cell("POST upload", PUSHERS, 202, fixed("POST", "blobs/uploads/")),
    Cell(
        "POST blob whole",
        PUSHERS,
        201,
        fixed("POST", "blobs/uploads/", params={"digest": digest_of(LAYER)}, content=LAYER),
    ),
    Cell("PATCH own upload", PUSHERS, 202, on_own_session("PATCH")),
    Cell("GET own upload", PUSHERS, 204, on_own_session("GET")),
    Cell("PUT own upload", PUSHERS, 201, on_own_session("PUT")),
    Cell("DELETE own upload", PUSHERS, 204, on_own_session("DELETE")),
    Cell("PATCH an upload of others", PUSHERS, 404, on_a_session_of_others("PATCH")),
    Cell("DELETE an upload of others", PUSHERS, 404, on_a_session_of_others("DELETE")),
    Cell("POST mount", PUSHERS, 201, mount),
]


def with_token(house: House, client: httpx.Client, *names: str) -> httpx.Client:
    """The same caller with a token for all that it may do in these repositories, as docker would ask for."""
    answer = client.get("/token", params={"scope": [f"repository:{name}:pull,push,delete" for name in names]})
    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    return httpx.Client(base_url=house.url, headers=headers, timeout=60)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("project", ["own/", "foreign/"])
@pytest.mark.parametrize("way", ["password", "token"])
def test_who_may(house: House, cell: Cell, project: str, way: str) -> None:
    """Each caller gets the answer of its rights, with a password and with a token alike."""
    for caller in CALLERS:
        name = house.repository(project)
        asked = cell.make(house, name, house.clients[caller])
        path = asked.path if asked.path.startswith("/") else f"/v2/{name}/{asked.path}"
        if way == "password" or caller == "anonymous":
            answer = house.clients[caller].request(asked.method, path, **asked.given)
        else:
            source = asked.given.get("params", {}).get("from", name)
            with with_token(house, house.clients[caller], name, source) as client:
                answer = client.request(asked.method, path, **asked.given)
        assert answer.status_code == cell.expected(caller, project), (caller, answer.text)


@pytest.mark.parametrize("project", ["own/", "foreign/"])
def test_nothing_is_mounted_that_may_not_be_pulled(house: House, project: str) -> None:
    """Who may push gets an upload instead, whether the content is there or not; the administrator mounts."""
    for caller in CALLERS:
        name = house.repository(project)
        asked = mount_from_elsewhere(house, name, house.clients[caller])
        answer = house.clients[caller].request("POST", f"/v2/{name}/{asked.path}", **asked.given)
        pushers = PUSHERS if project == "own/" else {"stranger"}
        expected = 201 if caller == "admin" else 202 if caller in pushers else 401 if caller == "anonymous" else 403
        assert answer.status_code == expected, (caller, answer.text)


def test_the_catalog_shows_what_may_be_pulled(house: House) -> None:
    """Names of others are in nobody's list; who may pull nothing has none."""
    own, foreign = house.repository("own/"), house.repository("foreign/")
    for caller in CALLERS:
        answer = house.clients[caller].get("/v2/_catalog", params={"n": 1000})
        if caller in {"anonymous", "nobody"}:
            assert answer.status_code == (401 if caller == "anonymous" else 403)
            continue
        names = answer.json()["repositories"]
        assert (own in names) is (caller in PULLERS or caller == "admin"), caller
        assert (foreign in names) is (caller in {"stranger", "admin"}), caller
