"""Requests at the edge of what clients send, byte for byte, and what the answers' headers say."""

import base64
import http.client
import json
import secrets
from collections.abc import Generator

import pytest

from harness.protocol import OCI_INDEX, Repository, RunningRegistry, descriptor, digest_of, image, index
from serving.wire import Answer, connected


@pytest.fixture
def pushed(small_registry: RunningRegistry) -> Generator[Repository, None, None]:
    """A repository with an image ``v1`` of one layer, that everyone may pull."""
    with small_registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image("v1", b"a layer")
        yield repository


def _basic(registry: RunningRegistry, password: str | None = None) -> str:
    credentials = f"admin:{registry.password if password is None else password}".encode()
    return "Authorization: Basic " + base64.b64encode(credentials).decode()


def _ask(registry: RunningRegistry, line: str, *headers: str) -> Answer:
    with connected(registry.port) as wire:
        wire.request(line, *headers)
        return wire.answer(head=line.startswith("HEAD"))


def test_http_1_0_without_a_host_is_challenged(small_registry: RunningRegistry) -> None:
    """The realm is where the request came to when it does not say so itself."""
    with connected(small_registry.port) as wire:
        wire.send(b"GET /v2/ HTTP/1.0\r\n\r\n")
        answer = wire.answer()

    assert answer.status == 401
    expected = f'Bearer realm="http://127.0.0.1:{small_registry.port}/token",service="entrepot"'
    assert answer.headers["www-authenticate"] == expected


@pytest.mark.parametrize("path", ["/v2/", "/token", "/v2/_catalog"])
def test_credentials_come_once(small_registry: RunningRegistry, path: str) -> None:
    """Two Authorization fields, right or wrong in any order, are refused everywhere: who checks which is not said."""
    right, wrong = _basic(small_registry), _basic(small_registry, "wrong")

    for pair in ((right, right), (right, wrong), (wrong, right)):
        assert _ask(small_registry, f"GET {path}", *pair).status == 401


def test_head_has_the_headers_of_get(small_registry: RunningRegistry, pushed: Repository) -> None:
    """On every resource that can be read, HEAD answers what GET does, without the body."""
    digest = pushed.client.head(f"{pushed.base}/manifests/v1").headers["docker-content-digest"]
    paths = [
        "/v2/",
        "/v2/_catalog",
        f"{pushed.base}/tags/list?n=1",
        f"{pushed.base}/manifests/v1",
        f"{pushed.base}/manifests/{digest}",
        f"{pushed.base}/manifests/absent",
        f"{pushed.base}/blobs/{digest_of(b'a layer')}",
        f"{pushed.base}/blobs/{digest_of(b'absent')}",
        f"{pushed.base}/referrers/{digest}",
        f"{pushed.base}/referrers/{digest}?artifactType=a/b",
        "/v2/UPPER/tags/list",
        "/v2/absent/tags/list",
    ]
    for path in paths:
        got, headed = [_ask(small_registry, f"{method} {path}", _basic(small_registry)) for method in ("GET", "HEAD")]
        for answer in (got, headed):
            del answer.headers["date"], answer.headers["x-request-id"]
        assert (headed.status, headed.headers) == (got.status, got.headers), path
        assert got.headers["content-type"]
        assert len(got.body) == int(got.headers["content-length"])


def test_what_may_be_cached(pushed: Repository) -> None:
    """Content under its digest is immutable and private; a tag is asked about anew; refusals are never stored."""
    client = pushed.client
    digest = client.head(f"{pushed.base}/manifests/v1").headers["docker-content-digest"]
    cached = {
        path: client.get(f"{pushed.base}/{path}").headers["cache-control"]
        for path in (
            "manifests/v1",
            f"manifests/{digest}",
            f"blobs/{digest_of(b'a layer')}",
            f"blobs/{digest_of(b'absent')}",
        )
    }

    assert list(cached.values()) == [
        "private, no-cache",
        "private, max-age=31536000, immutable",
        "private, max-age=31536000, immutable",
        "no-store",
    ]


def test_a_tag_is_revalidated_by_its_digest(pushed: Repository) -> None:
    """If-None-Match with the digest at hand is 304 until the tag moves."""
    first = pushed.client.get(f"{pushed.base}/manifests/v1")
    condition = {"If-None-Match": first.headers["etag"]}

    same = pushed.client.get(f"{pushed.base}/manifests/v1", headers=condition)
    pushed.push_image("v1", b"another layer")
    moved = pushed.client.get(f"{pushed.base}/manifests/v1", headers=condition)

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    assert same.headers["docker-content-digest"] == first.headers["docker-content-digest"]
    assert moved.status_code == 200


def test_stored_pages_do_not_run(pushed: Repository) -> None:
    """A blob that is an HTML page is sent as bytes to be saved, and browsers are told not to guess."""
    digest = pushed.push_blob(b"<script>alert(1)</script>")

    answer = pushed.client.get(f"{pushed.base}/blobs/{digest}")

    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("count", [101, 257, 1000])
def test_more_tags_than_one_push_may_set(pushed: Repository, count: int) -> None:
    """Over a hundred tags are 414 however many they are, and nothing is stored."""
    content = json.dumps(image(annotations={"n": str(count)})).encode()
    query = "&".join(f"tag=t{number}" for number in range(count))

    refused = pushed.client.put(
        f"{pushed.base}/manifests/{digest_of(content)}?{query}",
        content=content,
        headers={"Content-Type": image()["mediaType"]},
    )

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (414, "TAG_INVALID")
    assert pushed.client.head(f"{pushed.base}/manifests/{digest_of(content)}").status_code == 404
    assert pushed.client.get(f"{pushed.base}/tags/list").json()["tags"] == ["v1"]


def test_a_hundred_long_tags_fit_into_one_request(pushed: Repository) -> None:
    """As many tags as are allowed, each as long as is allowed, are set by one push and named in the answer."""
    content = json.dumps(image(annotations={"n": "many"})).encode()
    tags = [f"{number:03}".ljust(128, "x") for number in range(100)]

    put = pushed.client.put(
        f"{pushed.base}/manifests/{digest_of(content)}",
        params=[("tag", tag) for tag in tags],
        content=content,
        headers={"Content-Type": image()["mediaType"]},
    )

    assert put.status_code == 201
    assert put.headers["oci-tag"].split(", ") == tags
    assert pushed.client.get(f"{pushed.base}/tags/list").json()["tags"] == tags


@pytest.mark.parametrize("artifact_type", ["", "%00", "a%00b", "%ff", "no+type", "a%2Fb", "%F0%9F%90%8B%2Fb"])
def test_filters_that_match_nothing(repository: Repository, artifact_type: str) -> None:
    """Whatever text a filter has, the answer is an index that says whether it was filtered, or 400 without UTF-8."""
    repository.push_blob()
    subject = digest_of(b"subject")
    entry = {"mediaType": image()["mediaType"], "digest": subject, "size": 7}
    repository.put_manifest("referrer", image(subject=entry, artifactType="c/d"))

    answer = repository.client.get(f"{repository.base}/referrers/{subject}?artifactType={artifact_type}")

    if artifact_type == "%ff":
        assert answer.status_code == 400
        return
    assert (answer.status_code, answer.headers["content-type"]) == (200, OCI_INDEX)
    assert len(answer.json()["manifests"]) == (0 if artifact_type else 1)
    assert answer.headers.get("oci-filters-applied") == ("artifactType" if artifact_type else None)


@pytest.mark.parametrize("last", ["%00", "%ff", "%F0%9F%90%8B", "a" * 5000, "v1%00"])
def test_any_text_has_its_place_in_a_list(repository: Repository, last: str) -> None:
    """``last`` need not be a tag or a name; what is not UTF-8 is 400."""
    repository.push_image("v1")

    for path in (f"{repository.base}/tags/list", "/v2/_catalog"):
        answer = repository.client.get(f"{path}?last={last}")
        assert answer.status_code == (400 if last == "%ff" else 200)


def test_long_annotations_come_in_more_pages(repository: Repository) -> None:
    """Referrers whose annotations are megabytes are listed completely, a page of at most 4 MiB at a time."""
    repository.push_blob()
    entry = {"mediaType": image()["mediaType"], "digest": digest_of(b"subject"), "size": 7}
    pushed = set()
    for number in range(4):
        long = image(subject=entry, annotations={"text": secrets.token_hex(750_000), "number": str(number)})
        pushed.add(repository.put_manifest(f"v{number}", long).headers["docker-content-digest"])

    path: str | None = f"{repository.base}/referrers/{digest_of(b'subject')}"
    listed: list[str] = []
    while path is not None:
        page = repository.client.get(path)
        assert 0 < len(page.content) <= 4 << 20
        listed += [found["digest"] for found in page.json()["manifests"]]
        path = page.links["next"]["url"] if "next" in page.links else None

    assert listed == sorted(pushed)


def test_an_index_keeps_unknown_entries(repository: Repository) -> None:
    """An entry of a type that nobody knows is no error, whether its content is there or not."""
    entries = [descriptor(b"present", "application/x.new"), descriptor(b"absent", "application/x.newer")]
    digest = repository.push_blob(b"present")

    assert repository.put_manifest("all", index(*entries)).status_code == 201
    assert repository.client.delete(f"{repository.base}/blobs/{digest}").status_code == 405


def test_answers_without_content_say_so(repository: Repository) -> None:
    """201, 202 and 204 have no empty Content-Type; a client that minds gets none at all, or a length of 0."""
    location = repository.start_upload()
    answers = [
        repository.client.get(location),
        repository.client.patch(location, content=b"x"),
        repository.client.put(location, params={"digest": digest_of(b"x")}),
        repository.client.delete(f"{repository.base}/blobs/{digest_of(b'x')}"),
    ]

    for answer in answers:
        assert answer.headers.get("content-type", "none")
        assert answer.headers.get("content-length", "0") == "0"
        assert answer.content == b""


def test_one_connection_serves_a_whole_push_and_pull(small_registry: RunningRegistry) -> None:
    """Every answer of a push, refusals among them, leaves the connection usable for the next request."""
    connection = http.client.HTTPConnection("127.0.0.1", small_registry.port, timeout=20)
    name, content = f"test/{secrets.token_hex(6)}", secrets.token_bytes(1000)
    authorization = {"Authorization": _basic(small_registry).partition(": ")[2]}
    layer = digest_of(content)

    def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
        connection.request(method, path, body, {**authorization, **headers})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location") or "", answer.read()

    connection.connect()
    sock = connection.sock
    assert ask("HEAD", f"/v2/{name}/blobs/{layer}")[0] == 404
    status, location, _ = ask("POST", f"/v2/{name}/blobs/uploads/", b"")
    assert status == 202
    assert ask("PATCH", location, content, **{"Content-Range": "5-1004"})[0] == 416
    assert ask("PATCH", location, content)[0] == 202
    assert ask("PUT", f"{location}?digest={layer}", b"")[0] == 201
    assert ask("PUT", f"/v2/{name}/manifests/v1", b"not json", **{"Content-Type": image()["mediaType"]})[0] == 400
    assert ask("GET", f"/v2/{name}/blobs/{layer}")[2] == content
    assert ask("GET", f"/v2/{name}/blobs/{layer}", Range="bytes=0-9")[2] == content[:10]
    assert connection.sock is sock
    connection.close()
