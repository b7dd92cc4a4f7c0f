"""A registry whose disk fills up, turns read-only, or whose database is held: typed answers, and it recovers by itself.

Mounting needs root, as CI has it; without that right these tests fail and say so.
"""

import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from harness.disks import read_only, small_disk
from harness.protocol import Repository, RunningRegistry, digest_of, registry_in

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path, None, None]:
    """A disk of 96 MiB."""
    with small_disk(tmp_path / "disk") as path:
        yield path


@pytest.fixture
def registry(disk: Path) -> Generator[RunningRegistry, None, None]:
    """A registry on that disk, which keeps 16 MiB of it in reserve."""
    with registry_in(disk, storage__reserve="16MiB", uploads__checkpoint_bytes="8MiB") as running:
        yield running


def test_a_full_disk_is_507_and_recovers(registry: RunningRegistry, disk: Path) -> None:
    """A push that does not fit is 507 with Retry-After; what was there is whole, and with room again pushes go on."""
    with registry.admin() as admin:
        repository = Repository(admin)
        kept = secrets.token_bytes(MIB)
        digest = repository.push_blob(kept)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(60 * MIB))
        location = repository.start_upload()
        body = secrets.token_bytes(40 * MIB)

        refused = admin.patch(location, content=body)

        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (507, "UNAVAILABLE")
        assert int(refused.headers["retry-after"]) > 0
        assert admin.get(f"{repository.base}/blobs/{digest}").content == kept
        ballast.unlink()
        offset = int(admin.get(location).headers["range"].partition("-")[2])
        start = offset + 1 if offset else 0
        rest = admin.patch(location, content=body[start:], headers={"Content-Range": f"{start}-{len(body) - 1}"})
        assert rest.status_code == 202
        assert admin.put(location, params={"digest": digest_of(body)}).status_code == 201


def test_a_read_only_store_is_503_and_recovers(registry: RunningRegistry) -> None:
    """While nothing can be written pushes are 503 with Retry-After and pulls go on."""
    with registry.admin() as admin:
        repository = Repository(admin)
        digest = repository.push_blob(b"kept")
        location = repository.start_upload()
        with read_only(registry.settings.data / "store"):
            refused = admin.patch(location, content=b"more")
            assert (refused.status_code, refused.json()["errors"][0]["code"]) == (503, "UNAVAILABLE")
            assert int(refused.headers["retry-after"]) > 0
            assert admin.get(f"{repository.base}/blobs/{digest}").content == b"kept"

        assert admin.patch(location, content=b"more").status_code == 202


def test_a_database_that_is_held_is_503_and_recovers(registry: RunningRegistry) -> None:
    """Another program's write lock makes pushes 503 after a while, pulls go on, and its end is the trouble's end."""
    with registry.admin() as admin:
        repository = Repository(admin)
        repository.push_image()
        with closing(sqlite3.connect(registry.settings.data / "entrepot.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")

            refused = admin.post(f"{repository.base}/blobs/uploads/")

            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            assert admin.get(f"{repository.base}/manifests/v1").status_code == 200
            holder.execute("ROLLBACK")
        assert admin.post(f"{repository.base}/blobs/uploads/").status_code == 202
