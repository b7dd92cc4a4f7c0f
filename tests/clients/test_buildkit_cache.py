"""The cache that BuildKit exports to a registry, in both of its forms, pushed and fetched as BuildKit does."""

import json
import secrets
from typing import Any

import httpx
import pytest

from harness.protocol import OCI_INDEX, OCI_MANIFEST, Repository, descriptor, digest_of, image, index

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


def cache_of(layers: list[bytes]) -> bytes:
    """What BuildKit writes down: which layer came of which step."""
    document = {
        "layers": [{"blob": digest_of(layer), "parent": place - 1} for place, layer in enumerate(layers)],
        "records": [
            {"digest": digest_of(b"step"), "results": [{"layer": 0, "createdAt": "2026-01-02T03:04:05.678901234Z"}]}
        ],
    }
    return json.dumps(document).encode()


def describe(layer: bytes) -> dict[str, Any]:
    """A layer with the notes that BuildKit makes on it."""
    notes = {"buildkit/createdat": "2026-01-02T03:04:05.678901234Z", "containerd.io/uncompressed": digest_of(b"tar")}
    return descriptor(layer, annotations=notes)


def push_as_containerd(repository: Repository, content: bytes) -> None:
    """Ask for the blob, open an upload, send the whole with PUT: BuildKit has containerd's pusher."""
    digest = digest_of(content)
    asked = repository.client.head(f"{repository.base}/blobs/{digest}")
    assert asked.status_code == httpx.codes.NOT_FOUND
    location = repository.start_upload()
    put = repository.client.put(location, params={"digest": digest}, content=content)
    assert put.status_code == httpx.codes.CREATED


@pytest.mark.parametrize("form", ["index", "image-manifest"])
def test_a_cache_comes_back(admin: httpx.Client, form: str) -> None:
    """Layers and config of the cache come back byte by byte, also for a build that only imports it; then it goes."""
    repository = Repository(admin, f"buildkit/{form}")
    layers = [secrets.token_bytes(100_000) for _ in range(3)]
    config = cache_of(layers)
    manifest = index(*map(describe, layers), descriptor(config, CACHE_CONFIG))
    if form == "image-manifest":
        manifest = {**image(), "config": descriptor(config, CACHE_CONFIG), "layers": [*map(describe, layers)]}
    media_type = OCI_INDEX if form == "index" else OCI_MANIFEST

    missing = repository.put_manifest("cache", manifest)
    for content in (*layers, config):
        push_as_containerd(repository, content)
    pushed = repository.put_manifest("cache", manifest)
    resolved = admin.head(f"{repository.base}/manifests/cache", headers={"Accept": f"{media_type}, */*"})
    fetched = admin.get(f"{repository.base}/manifests/{resolved.headers['docker-content-digest']}")
    parts = [
        admin.get(f"{repository.base}/blobs/{digest_of(content)}", headers={"Range": "bytes=0-"}).content
        for content in (*layers, config)
    ]
    deleted = admin.delete(f"{repository.base}/blobs/{digest_of(layers[0])}")

    assert missing.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"
    assert pushed.status_code == httpx.codes.CREATED
    assert resolved.headers["content-type"] == media_type
    assert fetched.json() == manifest
    assert parts == [*layers, config]
    assert deleted.status_code != httpx.codes.ACCEPTED


def test_a_cache_is_replaced_by_the_next_build(admin: httpx.Client) -> None:
    """The next export moves the tag; what both share is found and not sent again."""
    repository = Repository(admin, "buildkit/next")
    layers = [secrets.token_bytes(1000) for _ in range(3)]
    for content in (*layers[:2], cache_of(layers[:2])):
        push_as_containerd(repository, content)
    first = index(*map(describe, layers[:2]), descriptor(cache_of(layers[:2]), CACHE_CONFIG))
    repository.put_manifest("cache", first)

    found = [admin.head(f"{repository.base}/blobs/{digest_of(layer)}").status_code for layer in layers]
    for content in (layers[2], cache_of(layers)):
        push_as_containerd(repository, content)
    second = index(*map(describe, layers), descriptor(cache_of(layers), CACHE_CONFIG))
    repository.put_manifest("cache", second)

    assert found == [httpx.codes.OK, httpx.codes.OK, httpx.codes.NOT_FOUND]
    assert admin.get(f"{repository.base}/manifests/cache").json() == second
