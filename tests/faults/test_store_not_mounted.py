"""A store whose disk is not mounted: an empty directory stands where the objects were."""

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from entrepot.compose import prepare
from entrepot.storage import StoreEmpty
from harness.protocol import EMPTY, Repository, RunningRegistry, digest_of, registry_in

MARKER = "entrepot-store"


@pytest.fixture
def registry(tmp_path: Path) -> Generator[RunningRegistry, None, None]:
    """A registry of its own."""
    with registry_in(tmp_path) as running:
        yield running


def _unmount(registry: RunningRegistry) -> Path:
    store = registry.settings.data / "store"
    away = store.rename(store.with_name("away"))
    store.mkdir()
    return away


def _mount(registry: RunningRegistry, away: Path) -> None:
    store = registry.settings.data / "store"
    for stray in store.iterdir():
        stray.rmdir()
    store.rmdir()
    away.rename(store)


def test_nothing_is_said_to_be_lost(registry: RunningRegistry) -> None:
    """Reads, writes and readiness are 503 and leave nothing in the directory; with the disk back all is as before."""
    with registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image("v1", b"a layer")
        upload, location = repository.start_upload(), repository.start_upload()
        assert admin.patch(upload, content=b"first").status_code == 202
        away = _unmount(registry)

        blob = f"{repository.base}/blobs/{digest_of(b'a layer')}"
        answers = [
            admin.get(blob),
            admin.get(blob, headers={"Range": "bytes=0-1"}),
            admin.patch(upload, content=b"second"),
            admin.patch(location, content=b"first"),
            admin.post(f"{repository.base}/blobs/uploads/", params={"digest": digest_of(b"new")}, content=b"new"),
            httpx.get(f"{registry.operations_url}/readyz", timeout=20),
        ]
        assert [answer.status_code for answer in answers] == [503] * len(answers)
        assert not list((registry.settings.data / "store").iterdir())

        _mount(registry, away)
        assert admin.get(blob).content == b"a layer"
        assert admin.head(blob).status_code == 200
        assert admin.patch(upload, content=b"second").status_code == 202
        assert admin.put(upload, params={"digest": digest_of(b"firstsecond")}).status_code == 201


def test_an_object_that_is_lost_from_a_disk_that_is_there_is_sent_again(registry: RunningRegistry) -> None:
    """With the marker in its place a missing object is damage: 503, and 404 to a pusher's HEAD, whose push mends it."""
    with registry.admin() as admin:
        repository = Repository(admin)
        repository.push_blob(b"a layer")
        for file in (registry.settings.data / "store" / "objects").rglob("*"):
            if file.is_file():
                file.unlink()

        blob = f"{repository.base}/blobs/{digest_of(b'a layer')}"
        damaged = admin.get(blob)
        assert (damaged.status_code, damaged.json()["errors"][0]["message"]) == (503, "the stored content is damaged")

        scope = f"repository:{repository.name}:pull"
        token = admin.get("/token", params={"scope": scope}).json()["token"]
        with registry.client(Authorization=f"Bearer {token}") as puller:
            assert puller.head(blob).status_code == 503
        assert admin.head(blob).status_code == 404
        assert admin.get(blob).status_code == 503
        repository.push_blob(b"a layer")
        assert admin.head(blob).status_code == 200
        assert admin.get(blob).content == b"a layer"


def test_a_store_from_before_is_marked(tmp_path: Path) -> None:
    """A store that has objects and no marker gets one at the next start; an empty one of blobs on record is refused."""
    with registry_in(tmp_path) as registry, registry.admin() as admin:
        repository = Repository(admin)
        digest = repository.push_blob(EMPTY)
    marker = registry.settings.data / "store" / MARKER
    marker.unlink()

    with registry_in(tmp_path) as registry, registry.admin() as admin:
        assert marker.exists()
        assert admin.get(f"{repository.base}/blobs/{digest}").content == EMPTY
    _unmount(registry)

    with pytest.raises(StoreEmpty):
        prepare(registry.settings)
    marker.touch()
    prepare(registry.settings)


def test_a_store_that_never_had_a_blob_may_be_empty(tmp_path: Path) -> None:
    """A database without blobs is no reason to refuse an empty store, which is marked anew."""
    with registry_in(tmp_path) as registry:
        marker = registry.settings.data / "store" / MARKER
    marker.unlink()

    prepare(registry.settings)

    assert marker.exists()
