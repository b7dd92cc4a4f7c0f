"""What is outside the grammar is refused, and touches nothing; every refusal has the same shape."""

import json
import socket

import httpx
import pytest

from harness.protocol import Repository, RunningRegistry, digest_of


def raw(registry: RunningRegistry, method: str, target: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a request with a target that no client library would let through; returns status, headers and body."""
    authorization = httpx.BasicAuth("admin", registry.password)._auth_header
    head = f"Host: 127.0.0.1\r\nAuthorization: {authorization}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", registry.port), timeout=20) as sock:
        sock.sendall(method.encode() + b" " + target + b" HTTP/1.1\r\n" + head.encode())
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    top, _, body = received.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split(" ")[1]), headers, body


BAD_NAMES = [
    b"UPPER",
    b"a//b",
    b"a/../b",
    b"../a",
    b"a/./b",
    b"a%2fb",
    b"a%00b",
    b"a%20b",
    b"-a",
    b"a-",
    b"a..b",
    b"a___b",
    b"%D9%A1",
    b"a" * 256,
    b"a\\b",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
@pytest.mark.parametrize("rest", [b"manifests/v1", b"blobs/uploads/", b"tags/list"])
def test_names_outside_the_grammar(small_registry: RunningRegistry, name: bytes, rest: bytes) -> None:
    """A repository name outside the grammar is 400 NAME_INVALID at every endpoint."""
    method = "POST" if rest.endswith(b"uploads/") else "GET"

    status, _, body = raw(small_registry, method, b"/v2/" + name + b"/" + rest)

    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "NAME_INVALID")


@pytest.mark.parametrize("name", ["\u0661".encode(), b"\xff", b"a\tb", b"a\x7fb"], ids=repr)
def test_bytes_that_no_target_may_have(small_registry: RunningRegistry, name: bytes) -> None:
    """What is no printable ASCII is refused before any name is read."""
    status, _, _ = raw(small_registry, "GET", b"/v2/" + name + b"/tags/list")

    assert status == 400


@pytest.mark.parametrize(
    "tag", [b"-a", b".a", b"a%2fb", b"a" * 129, b"a%00", "\u0661".encode(), b"a+b", b"a~"], ids=repr
)
def test_tags_outside_the_grammar(small_registry: RunningRegistry, tag: bytes) -> None:
    """A tag outside the grammar is 400."""
    status, _, _ = raw(small_registry, "GET", b"/v2/some/name/manifests/" + tag)

    assert status == 400


@pytest.mark.parametrize(
    "digest",
    [
        b"sha256:",
        b"sha256:abc",
        b"sha256:" + b"A" * 64,
        b"md5:" + b"a" * 32,
        b"sha512:" + b"a" * 64,
        b"sha256:" + b"a" * 65,
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", [b"blobs", b"manifests", b"referrers"])
def test_digests_outside_the_grammar(small_registry: RunningRegistry, place: bytes, digest: bytes) -> None:
    """A digest outside the grammar, or of an algorithm that is not supported, is 400 DIGEST_INVALID."""
    status, _, body = raw(small_registry, "GET", b"/v2/some/name/" + place + b"/" + digest)

    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("target", [b"/", b"/v1/", b"/v2/x", b"/v2/a/unknown/b", b"/v3/", b"/v2/a/blobs/"])
def test_paths_that_lead_nowhere(small_registry: RunningRegistry, target: bytes) -> None:
    """What no endpoint has is 404, in the shape of every error."""
    status, headers, body = raw(small_registry, "GET", target)

    assert (status, headers["content-type"]) == (404, "application/json")
    assert json.loads(body)["errors"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v2/", "GET, HEAD"),
        ("PUT", "/v2/a/blobs/uploads/", "POST"),
        ("POST", "/v2/a/manifests/v1", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "/v2/a/tags/list", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("PUT", "/token", "GET, POST"),
    ],
)
def test_methods_that_a_resource_does_not_know(
    small_registry: RunningRegistry, method: str, path: str, allow: str
) -> None:
    """They are 405 and told which ones there are."""
    with small_registry.admin() as admin:
        refused = admin.request(method, path)

    assert (refused.status_code, refused.headers["allow"]) == (405, allow)


def test_every_error_has_the_same_shape(small_registry: RunningRegistry) -> None:
    """Code, message and detail, as JSON, with a type and a request id; a HEAD has the status alone."""
    with small_registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image()
        refused = [
            admin.get("/v2/nobody/here/manifests/v1"),
            admin.get(f"{repository.base}/manifests/absent"),
            admin.get(f"{repository.base}/blobs/{digest_of(b'absent')}"),
            admin.put(f"{repository.base}/manifests/v1", content=b"{"),
            admin.get(f"{repository.base}/blobs/uploads/{'0' * 32}"),
            httpx.get(f"{small_registry.url}/v2/", headers={"Authorization": "Basic !"}),
            admin.get("/token", params={"scope": "repository"}),
            admin.delete(f"{repository.base}/blobs/{digest_of(b'{}')}"),
        ]
        for answer in refused:
            assert answer.status_code >= 400, answer.request.url
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-request-id"]
            for error in answer.json()["errors"]:
                assert set(error) == {"code", "message", "detail"}
                assert error["code"].isupper()
        looked = admin.head(f"{repository.base}/manifests/absent")
        assert (looked.status_code, looked.content) == (404, b"")


def test_the_upstream_parameter_of_mirrors_is_ignored(small_registry: RunningRegistry) -> None:
    """Containerd adds ``?ns=`` to what it asks a mirror."""
    with small_registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image()

        assert admin.get(f"{repository.base}/manifests/v1?ns=docker.io").status_code == 200


def test_a_digest_may_have_its_colon_encoded(small_registry: RunningRegistry) -> None:
    """Some clients encode the colon of a digest in a path."""
    with small_registry.admin() as admin:
        repository = Repository(admin)
        digest = repository.push_image()

    status, _, _ = raw(small_registry, "GET", f"{repository.base}/manifests/{digest.replace(':', '%3A')}".encode())
    assert status == 200
