"""What newer versions of clients ask for, beyond what the installed ones do: ranges, conditions, dummy manifests."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import httpx

from harness.protocol import OCI_MANIFEST, Repository, digest_of, image

MEBIBYTE = 1024**2
PARTS = 8


def test_everything_from_the_first_byte_on(admin: httpx.Client) -> None:
    """Containerd 2.1 asks for manifests and blobs with `Range: bytes=0-`; all comes, said to be a part or not."""
    repository = Repository(admin, "habits/range")
    content = secrets.token_bytes(MEBIBYTE)
    repository.push_image("1.0", content)

    for path in ("manifests/1.0", f"blobs/{digest_of(content)}"):
        whole = admin.get(f"{repository.base}/{path}")
        ranged = admin.get(f"{repository.base}/{path}", headers={"Range": "bytes=0-"})

        assert ranged.status_code == httpx.codes.PARTIAL_CONTENT
        assert ranged.headers["content-range"] == f"bytes 0-{len(whole.content) - 1}/{len(whole.content)}"
        assert ranged.headers["content-type"] == whole.headers["content-type"]
        assert ranged.headers["docker-content-digest"] == whole.headers["docker-content-digest"]
        assert ranged.content == whole.content


def test_parts_of_a_layer_fetched_side_by_side(admin: httpx.Client) -> None:
    """Containerd 2.1 fetches a layer in parts over several connections; put together they are the layer."""
    repository = Repository(admin, "habits/parts")
    content = secrets.token_bytes(PARTS * MEBIBYTE + 1)
    digest = repository.push_blob(content)

    def part(number: int) -> bytes:
        last = "" if number == PARTS else (number + 1) * MEBIBYTE - 1
        asked = {"Range": f"bytes={number * MEBIBYTE}-{last}"}
        answer = admin.get(f"{repository.base}/blobs/{digest}", headers=asked)
        assert answer.status_code == httpx.codes.PARTIAL_CONTENT
        return answer.content

    with ThreadPoolExecutor(PARTS) as pool:
        assert b"".join(pool.map(part, range(PARTS + 1))) == content


def test_what_the_client_has_is_not_sent_again(admin: httpx.Client) -> None:
    """With the entity tag of what it has a client gets 304 and no body, until the tag moves."""
    repository = Repository(admin, "habits/conditional")
    digest = repository.push_image("1.0", b"first")
    path = f"{repository.base}/manifests/1.0"
    had = {"If-None-Match": admin.get(path).headers["etag"]}

    unchanged = admin.get(path, headers=had)
    repository.push_image("1.0", b"second")
    changed = admin.get(path, headers=had)

    assert (unchanged.status_code, unchanged.content) == (httpx.codes.NOT_MODIFIED, b"")
    assert unchanged.headers["docker-content-digest"] == digest
    assert changed.status_code == httpx.codes.OK
    assert changed.headers["docker-content-digest"] != digest


def test_a_tag_is_deleted_through_a_dummy_manifest(admin: httpx.Client) -> None:
    """Regctl puts a dummy manifest on the tag and deletes that by its digest: tag and dummy go, the image stays."""
    repository = Repository(admin, "habits/dummy")
    digest = repository.push_image("1.0", b"layer")
    repository.push_image("2.0", b"layer")
    dummy = image(annotations={"deleting": secrets.token_hex()})

    put = repository.put_manifest("1.0", dummy)
    deleted = admin.delete(f"{repository.base}/manifests/{put.headers['docker-content-digest']}")

    assert deleted.status_code == httpx.codes.ACCEPTED
    assert admin.get(f"{repository.base}/manifests/1.0").status_code == httpx.codes.NOT_FOUND
    assert admin.get(f"{repository.base}/tags/list").json()["tags"] == ["2.0"]
    image_left = admin.get(f"{repository.base}/manifests/{digest}", headers={"Accept": OCI_MANIFEST})
    assert image_left.status_code == httpx.codes.OK
