"""Pushing, pulling and deleting manifests (distribution spec), over real sockets."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.protocol import (
    EMPTY,
    LAYER,
    OCI_INDEX,
    OCI_MANIFEST,
    Repository,
    descriptor,
    digest_of,
    image,
    index,
    registry_in,
)

ARTIFACT_MANIFEST = "application/vnd.oci.artifact.manifest.v1+json"


def code_of(answer: Any) -> str:
    """The code of the first error."""
    return str(answer.json()["errors"][0]["code"])


def test_what_was_pushed_comes_back_byte_for_byte(repository: Repository) -> None:
    """A manifest keeps its bytes, its type and its digest, by tag and by digest; HEAD has the headers of GET."""
    repository.push_blob()
    content = json.dumps(image(), indent=3).encode()

    pushed = repository.put_manifest("v1", content, OCI_MANIFEST)

    digest = digest_of(content)
    assert (pushed.status_code, pushed.headers["docker-content-digest"]) == (201, digest)
    assert pushed.headers["location"] == f"{repository.base}/manifests/{digest}"
    for reference in ("v1", digest):
        url = f"{repository.base}/manifests/{reference}"
        pulled, looked = repository.client.get(url), repository.client.head(url)
        assert pulled.content == content
        assert pulled.headers["content-type"] == OCI_MANIFEST
        assert pulled.headers["docker-content-digest"] == digest
        assert pulled.headers["etag"] == f'"{digest}"'
        for header in ("content-type", "content-length", "docker-content-digest", "etag", "cache-control"):
            assert looked.headers[header] == pulled.headers[header]
        assert looked.content == b""
    assert "immutable" in repository.client.get(f"{repository.base}/manifests/{digest}").headers["cache-control"]
    assert "no-cache" in repository.client.get(f"{repository.base}/manifests/v1").headers["cache-control"]


def test_parts_of_manifests_and_blobs_can_be_asked_for(repository: Repository) -> None:
    """One range is 206, several are multipart/byteranges, none inside is 416; conditions hold."""
    content = secrets.token_bytes(1000)
    digest = repository.push_image("v1", content)
    blob = f"{repository.base}/blobs/{digest_of(content)}"

    one = repository.client.get(blob, headers={"Range": "bytes=10-19"})
    assert (one.status_code, one.headers["content-range"], one.content) == (206, "bytes 10-19/1000", content[10:20])
    assert repository.client.get(blob, headers={"Range": "bytes=-5"}).content == content[-5:]
    several = repository.client.get(blob, headers={"Range": "bytes=0-1,500-501"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert content[0:2] in several.content
    assert content[500:502] in several.content
    assert len(several.content) == int(several.headers["content-length"])
    outside = repository.client.get(blob, headers={"Range": "bytes=1000-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, "bytes */1000")
    whole = repository.client.get(f"{repository.base}/manifests/v1", headers={"Range": "bytes=0-"})
    assert (whole.status_code, digest_of(whole.content)) == (206, digest)
    stale = repository.client.get(blob, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, content)
    unchanged = repository.client.get(blob, headers={"If-None-Match": f'"{digest_of(content)}"'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_every_missing_blob_is_named(repository: Repository) -> None:
    """A manifest is refused with one error per blob that is not there, and nothing of it stays."""
    repository.push_blob()
    layers = [b"one", b"two", b"three"]
    repository.push_blob(layers[1])

    refused = repository.put_manifest("v1", image(*layers))

    assert refused.status_code == 404
    assert {error["code"] for error in refused.json()["errors"]} == {"MANIFEST_BLOB_UNKNOWN"}
    named = {error["detail"]["digest"] for error in refused.json()["errors"]}
    assert named == {digest_of(b"one"), digest_of(b"three")}
    assert repository.client.head(f"{repository.base}/manifests/v1").status_code == 404


def test_another_repositorys_blob_does_not_count(repository: Repository) -> None:
    """Content counts only where it was pushed or mounted."""
    repository.push_blob()
    repository.push_blob(b"layer")
    other = repository.other()
    other.push_blob()

    assert other.put_manifest("v1", image(b"layer")).status_code == 404
    assert other.client.get(f"{other.base}/blobs/{digest_of(b'layer')}").status_code == 404


def test_a_wrong_size_is_refused(repository: Repository) -> None:
    """A descriptor whose size is not that of the blob is 400 SIZE_INVALID."""
    repository.push_blob()
    repository.push_blob(b"layer")
    wrong = image()
    wrong["layers"] = [{**descriptor(b"layer"), "size": 4}]

    refused = repository.put_manifest("v1", wrong)

    assert (refused.status_code, code_of(refused)) == (400, "SIZE_INVALID")


def test_layers_that_lie_elsewhere_need_not_be_there(repository: Repository) -> None:
    """A layer with urls may be absent."""
    repository.push_blob()
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    manifest = image(layers=[descriptor(b"windows", foreign, urls=["https://example.com/layer"])])

    assert repository.put_manifest("v1", manifest).status_code == 201


def test_a_manifest_needs_the_digest_it_is_put_under(repository: Repository) -> None:
    """PUT by digest compares, in both algorithms."""
    repository.push_blob()
    content = json.dumps(image()).encode()

    for algorithm in ("sha256", "sha512"):
        wrong = repository.put_manifest(digest_of(b"other", algorithm), content, OCI_MANIFEST)
        assert (wrong.status_code, code_of(wrong)) == (400, "DIGEST_INVALID")
        right = repository.put_manifest(digest_of(content, algorithm), content, OCI_MANIFEST)
        assert right.headers["docker-content-digest"] == digest_of(content, algorithm)


def test_one_push_may_set_many_tags_or_none(repository: Repository) -> None:
    """Tag parameters are set with the manifest, all or nothing; one invalid tag refuses them all and is named."""
    repository.push_blob()
    content = json.dumps(image()).encode()
    digest = digest_of(content)

    refused = repository.put_manifest(f"{digest}?tag=good&tag=-bad", content, OCI_MANIFEST)
    assert (refused.status_code, refused.json()["errors"][0]["detail"]["tag"]) == (400, "-bad")
    assert repository.client.get(f"{repository.base}/manifests/good").status_code == 404
    many = "&".join(f"tag=t{number}" for number in range(101))
    assert repository.put_manifest(f"{digest}?{many}", content, OCI_MANIFEST).status_code == 414

    pushed = repository.put_manifest(f"{digest}?tag=1.2.3&tag=1.2&tag=1", content, OCI_MANIFEST)

    assert pushed.status_code == 201
    assert {tag.strip() for tag in pushed.headers["oci-tag"].split(",")} == {"1.2.3", "1.2", "1"}
    assert repository.client.get(f"{repository.base}/tags/list").json()["tags"] == ["1", "1.2", "1.2.3"]


def test_conditions_guard_a_tag(repository: Repository) -> None:
    """If-Match and If-None-Match hold for the tag, else 412 and nothing moves."""
    first = repository.push_image("v1")
    second = image(annotations={"a": "b"})

    absent = repository.put_manifest("v1", second, headers={"If-None-Match": "*"})
    assert absent.status_code == 412
    wrong = repository.put_manifest("v1", second, headers={"If-Match": f'"{digest_of(b"x")}"'})
    assert wrong.status_code == 412
    assert repository.client.head(f"{repository.base}/manifests/v1").headers["docker-content-digest"] == first
    right = repository.put_manifest("v1", second, headers={"If-Match": f'"{first}"'})
    assert right.status_code == 201
    assert repository.put_manifest("v2", second, headers={"If-None-Match": "*"}).status_code == 201


def test_of_many_that_create_a_tag_one_wins(repository: Repository) -> None:
    """With If-None-Match at the same time, one push is 201 and the others 412."""
    repository.push_blob()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(
                lambda number: (
                    repository.put_manifest(
                        "once", image(annotations={"number": str(number)}), headers={"If-None-Match": "*"}
                    ).status_code
                ),
                range(8),
            )
        )

    assert sorted(statuses) == [201] + [412] * 7


def test_concurrent_pushes_of_one_tag_all_succeed(repository: Repository) -> None:
    """The last one stands; every digest stays pullable."""
    repository.push_blob()

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda number: repository.put_manifest("moving", image(annotations={"number": str(number)})), range(16)
            )
        )

    assert {answer.status_code for answer in answers} == {201}
    digests = {answer.headers["docker-content-digest"] for answer in answers}
    assert repository.client.head(f"{repository.base}/manifests/moving").headers["docker-content-digest"] in digests
    for digest in digests:
        assert repository.client.head(f"{repository.base}/manifests/{digest}").status_code == 200


def test_a_tag_goes_without_its_manifest_and_a_manifest_with_its_tags(repository: Repository) -> None:
    """DELETE by tag leaves the manifest; DELETE by digest takes every tag; what is gone is 404."""
    digest = repository.push_image("a")
    for tag in ("b", "c"):
        repository.put_manifest(tag, repository.client.get(f"{repository.base}/manifests/a").content, OCI_MANIFEST)

    assert repository.client.delete(f"{repository.base}/manifests/a").status_code == 202
    assert repository.client.get(f"{repository.base}/manifests/a").status_code == 404
    assert repository.client.get(f"{repository.base}/manifests/{digest}").status_code == 200
    assert repository.client.delete(f"{repository.base}/manifests/{digest}").status_code == 202
    assert repository.client.get(f"{repository.base}/tags/list").json()["tags"] == []
    again = repository.client.delete(f"{repository.base}/manifests/{digest}")
    assert (again.status_code, code_of(again)) == (404, "MANIFEST_UNKNOWN")


def test_a_blob_in_use_cannot_be_deleted(repository: Repository) -> None:
    """DELETE of a blob that manifests name is 405 with Allow and up to ten of them; afterwards it goes."""
    digests = [repository.push_image(f"v{number}", b"shared", annotations={"n": str(number)}) for number in range(12)]
    blob = f"{repository.base}/blobs/{digest_of(b'shared')}"

    refused = repository.client.delete(blob)

    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]
    named = refused.json()["errors"][0]["detail"]["manifests"]
    assert len(named) == 10
    assert set(named) <= set(digests)
    for digest in digests:
        repository.client.delete(f"{repository.base}/manifests/{digest}")
    assert repository.client.delete(blob).status_code == 202
    assert repository.client.get(blob).status_code == 404


def test_an_index_may_lack_children(repository: Repository) -> None:
    """An index comes before its children, and stays when one is deleted."""
    child = repository.push_image("child")
    size = len(repository.client.get(f"{repository.base}/manifests/child").content)
    entries = [{"mediaType": OCI_MANIFEST, "digest": digest, "size": size} for digest in (child, digest_of(b"absent"))]

    assert repository.put_manifest("multi", index(*entries)).status_code == 201
    assert repository.client.delete(f"{repository.base}/manifests/{child}").status_code == 202
    assert repository.client.get(f"{repository.base}/manifests/multi").json()["manifests"][0]["digest"] == child


def test_entries_of_a_build_cache_are_blobs(repository: Repository) -> None:
    """BuildKit's cache is an index whose entries are layers: they have to be there, and stay."""
    entries = [descriptor(b"cached", LAYER), descriptor(b"{}", "application/vnd.buildkit.cacheconfig.v0")]

    missing = repository.put_manifest("cache", index(*entries))
    assert (missing.status_code, code_of(missing)) == (404, "MANIFEST_BLOB_UNKNOWN")
    repository.push_blob(b"cached")
    repository.push_blob(b"{}")
    assert repository.put_manifest("cache", index(*entries)).status_code == 201
    assert repository.client.delete(f"{repository.base}/blobs/{digest_of(b'cached')}").status_code == 405


@pytest.mark.parametrize("media_type", ["manifest", "manifest.list"])
def test_docker_types_are_kept(repository: Repository, media_type: str) -> None:
    """Docker's schema 2 is stored and served as it is."""
    repository.push_blob()
    full = f"application/vnd.docker.distribution.{media_type}.v2+json"
    body = {"schemaVersion": 2, "mediaType": full}
    body |= {"config": image()["config"], "layers": []} if media_type == "manifest" else {"manifests": []}

    assert repository.put_manifest("v1", body).status_code == 201
    assert repository.client.get(f"{repository.base}/manifests/v1").headers["content-type"] == full


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"{", OCI_MANIFEST),
        (b"[]", OCI_MANIFEST),
        (b"\xff\xfe", OCI_MANIFEST),
        (b'{"schemaVersion":2,"schemaVersion":2}', OCI_MANIFEST),
        (b'{"schemaVersion":2,"config":{},"manifests":[]}', OCI_MANIFEST),
        (json.dumps(image()).encode(), OCI_INDEX),
        (b"[" * 100_000, OCI_MANIFEST),
        (b'{"schemaVersion":1}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (
            b'{"mediaType":"application/vnd.oci.artifact.manifest.v1+json"}',
            "application/vnd.oci.artifact.manifest.v1+json",
        ),
    ],
)
def test_what_is_no_manifest_is_refused(repository: Repository, content: bytes, content_type: str) -> None:
    """Anything but one well-formed manifest of its declared type is 400 with the place and the reason."""
    repository.push_blob()

    refused = repository.put_manifest("v1", content, content_type)

    assert (refused.status_code, code_of(refused)) == (400, "MANIFEST_INVALID")
    assert refused.json()["errors"][0]["detail"]["path"].startswith("$")
    assert refused.json()["errors"][0]["detail"]["reason"]


def test_null_counts_as_absent(repository: Repository) -> None:
    """Regctl writes ``"layers": null``, among others."""
    repository.push_blob()

    assert repository.put_manifest("v1", image(layers=None, annotations=None, subject=None)).status_code == 201


def test_the_type_may_have_parameters_or_stand_in_the_manifest_alone(repository: Repository) -> None:
    """Parameters of Content-Type are ignored, and without it the manifest's own type counts."""
    repository.push_blob()
    content = json.dumps(image()).encode()

    assert repository.put_manifest("v1", content, f"{OCI_MANIFEST}; charset=utf-8").status_code == 201
    assert repository.put_manifest("v2", content, None).status_code == 201
    assert repository.client.get(f"{repository.base}/manifests/v1").headers["content-type"] == OCI_MANIFEST


def test_a_manifest_over_the_limit_is_413(repository: Repository) -> None:
    """Four mebibytes are the most that a manifest may have."""
    content = json.dumps(image(annotations={"a": "x" * (4 << 20)})).encode()

    refused = repository.put_manifest("v1", content, OCI_MANIFEST)

    assert (refused.status_code, code_of(refused)) == (413, "MANIFEST_INVALID")


def test_sparse_images_are_welcome_where_the_settings_say_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With ``accept`` a layer may come after its manifest, and is protected by it from then on."""
    folder = tmp_path_factory.mktemp("sparse")
    with registry_in(folder, manifests__missing_blobs="accept") as registry, registry.admin() as admin:
        repository = Repository(admin)

        assert repository.put_manifest("v1", image(b"later")).status_code == 201
        layer = f"{repository.base}/blobs/{repository.push_blob(b'later')}"
        assert admin.delete(layer).status_code == 405
        repository.push_blob(EMPTY)
        assert admin.delete(f"{repository.base}/manifests/v1").status_code == 202
