"""Attacks that worked on other registries, each tried here; the number names the advisory."""

import httpx
import pytest

from harness.registry import LiveRegistry
from management.house import API, PASSWORD, House


def test_mass_assignment_of_administration(house: House) -> None:
    """CVE-2019-16097: a field of one's own making does not make an administrator of who asks or is made."""
    document = {"name": house.name("user"), "password": PASSWORD, "has_admin_role": True}
    assert house.call("owner", "POST", "/users", json=document).status_code == 422
    _, name = house.user()
    with httpx.Client(base_url=f"{house.url}{API}", auth=(name, PASSWORD)) as someone:
        me = someone.get("/whoami").json()
        for change in ({"admin": True}, {"sysadmin_flag": True}, {"is_admin": True}):
            assert someone.patch(f"/users/{me['id']}", json=change).status_code in {403, 422}
        assert someone.get("/whoami").json()["admin"] is False


def test_a_robot_for_another_project(house: House) -> None:
    """CVE-2019-16919: neither the owning project nor the repositories of a robot may be another's."""
    for project, pattern in (("foreign/", "foreign/**"), ("own/", "foreign/**"), ("own/", "**"), ("*", "own/**")):
        document = {"name": house.name("robot"), "project": project, "repositories": [pattern]}
        made = house.call("owner", "POST", "/robots", json=document)
        if made.status_code == 201:  # the pattern counts within the project alone
            secret = made.json()["secret"]
            repository = house.repository("foreign/")
            pull = f"{house.url}/v2/{repository}/manifests/v1"
            assert httpx.get(pull, auth=(str(document["name"]), secret)).status_code == 403
        else:
            assert made.status_code == 403


def test_robots_of_another_project_by_their_id(house: House) -> None:
    """CVE-2022-31667: an id of another project's robot is as good as none, beneath whatever path it stands."""
    robot = house.robot("foreign/")
    for method, path, body in (
        ("PATCH", f"/robots/{robot}", {"disabled": True}),
        ("POST", f"/robots/{robot}/secrets", {}),
        ("GET", f"/robots/{robot}/trusts", None),
        ("DELETE", f"/robots/{robot}", None),
    ):
        assert house.call("owner", method, path, json=body).status_code == 404


def test_another_persons_password_and_mail(house: House) -> None:
    """CVE-2019-19023: nobody becomes an administrator by changing what belongs to one."""
    admin = house.call("admin", "GET", "/whoami").json()["id"]
    assert house.call("owner", "POST", f"/users/{admin}/password", json={"password": "mine now"}).status_code == 403
    assert house.call("owner", "PATCH", f"/users/{admin}", json={"description": "x"}).status_code == 403


@pytest.mark.parametrize(
    "text", ["' OR '1'='1", "x'; DROP TABLE accounts; --", "a\\' OR 1=1", "%", "_", '"', "é\u202e"]
)
def test_injection_into_statements(house: House, text: str) -> None:
    """CVE-2019-19026, CVE-2024-22261: what is asked for is a value, in every filter that there is."""
    for path, name in (("/users", "name"), ("/groups", "name"), ("/robots", "name"), ("/audit", "actor")):
        answer = house.call("admin", "GET", path, params={name: text})
        assert answer.status_code == 200
        assert answer.json()["items"] == []
    assert house.call("admin", "GET", "/users").json()["items"]


@pytest.mark.parametrize("name", ["q", "sort", "filter", "password", "password_hash", "order_by"])
def test_asking_for_columns(house: House, name: str) -> None:
    """CVE-2025-30086: no parameter reaches a column; one that is not described changes nothing."""
    plain = house.call("admin", "GET", "/users", params={"limit": 5}).json()
    asked = house.call("admin", "GET", "/users", params={"limit": 5, name: "password=~$argon2"}).json()
    assert asked["items"] == plain["items"]
    assert not any("hash" in key or "password" in key for key in plain["items"][0])


def test_telling_what_is_there(house: House) -> None:
    """CVE-2019-19030, CVE-2020-13794: who may not see something cannot tell whether it exists."""
    known, unknown = house.repository("foreign/"), "foreign/is-not-there"
    for path, name in (("/repository", "name"), ("/tags", "repository"), ("/manifests", "repository")):
        answers = [house.call("owner", "GET", path, params={name: one}) for one in (known, unknown)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert {answer.json()["title"] for answer in answers} == {answers[0].json()["title"]}
    for one in (known, unknown):
        assert house.clients["owner"].get(f"/v2/{one}/manifests/v1").status_code == 403


@pytest.mark.parametrize("path", ["/v2/_catalog/", "/v2//_catalog", "/v2/_catalog/.", "/v2/./_catalog", "/V2/_catalog"])
def test_a_path_that_looks_like_another(house: House, path: str) -> None:
    """CVE-2020-29662: no spelling of a path is answered without credentials, or answered at all."""
    answer = house.clients["anonymous"].request("GET", path)
    assert answer.status_code in {400, 401, 404}
    assert "repositories" not in answer.text


def test_a_token_for_a_project_that_was_made_again(house: House) -> None:
    """A token for what was deleted says nothing about what has its name now."""
    project = f"{house.name('p')}/"
    house.made("/projects", name=project)
    account = {"kind": "account", "name": "stranger"}
    house.made("/bindings", subject=account, role="reader", repositories=f"{project}**", project=project)
    repository = house.repository(project)
    scope = f"repository:{repository}:pull"
    token = house.clients["stranger"].get("/token", params={"scope": scope}).json()["token"]
    pull = f"{house.url}/v2/{repository}/manifests/v1"
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(pull, headers=headers).status_code == 200
    assert house.call("admin", "DELETE", f"/projects/{house.id_of('projects', project)}").status_code == 204
    house.made("/projects", name=project, move=True)
    house.made("/bindings", subject=account, role="reader", repositories=f"{project}**", project=project)
    again = httpx.get(pull, headers=headers)
    assert again.status_code == 401
    assert again.json()["errors"][0]["detail"]["reason"] == "insufficient-scope"


@pytest.mark.parametrize("agent", ["cosign/2.0", "notation/1.0", "trivy", "harbor-scanner", "kube-probe/1.31"])
def test_a_name_that_a_program_gives_itself(house: House, registry: LiveRegistry, agent: str) -> None:
    """No User-Agent opens anything."""
    repository = house.repository("own/")
    headers = {"User-Agent": agent, "X-Scanner": "1", "X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"}
    assert httpx.get(f"{registry.url}/v2/{repository}/manifests/v1", headers=headers).status_code == 401
    assert httpx.get(f"{registry.url}{API}/users", headers=headers).status_code == 401


def test_no_password_that_everybody_knows(registry: LiveRegistry) -> None:
    """CVE-2026-4404: none that others shipped with, nor an empty one."""
    for password in ("Harbor12345", "admin", "password", "entrepot", "changeme", ""):
        answer = httpx.get(f"{registry.url}/v2/", auth=("admin", password))
        assert answer.status_code in {401, 429}


def test_text_for_other_programs(house: House) -> None:
    """CVE-2025-32019: what somebody writes comes back as JSON, which no browser runs or renders."""
    script = "<script>alert(1)</script>=HYPERLINK(1)"
    made = house.call("admin", "POST", "/groups", json={"name": house.name("g"), "description": script})
    assert made.json()["description"] == script
    assert made.headers["content-type"] == "application/json"
    assert made.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in made.headers["content-security-policy"]
