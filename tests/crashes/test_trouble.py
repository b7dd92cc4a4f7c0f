"""`entrepot serve` under load while its disk is full, its store read-only, or its database away.

Refusals say when to come again, what is there is served, and the work goes on without a restart.
"""

import contextlib
import errno
import random
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from crashes.patience import PatientPusher, Reader, push_there, wait_for_progress, wait_for_refusals
from crashes.pushers import Pusher, Shift, chance_of
from crashes.site import Site, new_site
from harness.cluster import Cluster, running_cluster
from harness.disks import read_only, small_disk
from harness.protocol import EMPTY, digest_of
from harness.registry import LiveRegistry

REPOSITORY = "crashes/read"
PUSHERS = 3
MIB = 1024 * 1024


@dataclass(frozen=True)
class Load:
    """Clients at work against a registry."""

    registry: LiveRegistry
    http: httpx.Client
    pushers: list[PatientPusher]
    reader: Reader


@contextlib.contextmanager
def under_load(site: Site, *, patient_reader: bool, **environment: str) -> Generator[Load, None, None]:
    """A registry with clients that go on while the block runs; afterwards all that they were answered is looked for."""
    chance = chance_of(1)
    layer = chance.randbytes(10_000)
    pushers = [PatientPusher(new_pusher(number, chance)) for number in range(PUSHERS)]
    reader = Reader(REPOSITORY, layer, patient=patient_reader)
    with site.served(**environment) as registry, site.http(registry) as http:
        push_there(http, REPOSITORY, layer)
        with Shift([*pushers, reader], registry, http):
            wait_for_progress(*pushers, reader)
            yield Load(registry, http, pushers, reader)  # ruff: ignore[fallible-context-manager]  a failed test looks no further
            wait_for_progress(*pushers, reader)
        site.survey(http, [pusher.ledger for pusher in pushers])
        assert registry.stop() == 0


def new_pusher(number: int, chance: random.Random) -> Pusher:
    """A pusher of content that no other has."""
    return Pusher(f"pusher-{number}", chance_of(chance.random()), [chance.randbytes(1000)], longest=20_000)


@pytest.fixture
def small(tmp_path: Path) -> Generator[Site, None, None]:
    """A site whose data lies on a disk of 96 MiB."""
    with small_disk(tmp_path / "site" / "data"):
        yield new_site(tmp_path / "site", None)


def fill(ballast: Path) -> None:
    """Leave no room on the disk."""
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(MIB))
        except OSError as full:
            if full.errno != errno.ENOSPC:
                raise


def test_a_full_disk_refuses_and_recovers(small: Site) -> None:
    """Not a byte is free: pushes are refused as full and pulls go on; with room again pushes succeed."""
    ballast = small.folder / "data" / "ballast"
    with under_load(small, patient_reader=False, ENTREPOT_STORAGE__RESERVE="8MiB") as load:
        fill(ballast)
        wait_for_refusals(*load.pushers)
        wait_for_progress(load.reader)
        fill(ballast)
        refused = load.http.post("/v2/crashes/full/blobs/uploads/", params={"digest": digest_of(EMPTY)}, content=EMPTY)
        assert (refused.status_code, "retry-after" in refused.headers) == (507, True)
        ballast.unlink()


def test_a_read_only_store_refuses_and_recovers(tmp_path: Path) -> None:
    """While nothing can be written to the store pushes are refused and pulls go on; afterwards pushes succeed."""
    site = new_site(tmp_path / "site", None)
    with under_load(site, patient_reader=False) as load, read_only(site.folder / "data" / "store"):
        wait_for_refusals(*load.pushers)
        wait_for_progress(load.reader)


@pytest.fixture
def cluster() -> Generator[Cluster, None, None]:
    """A PostgreSQL server for this test alone."""
    with running_cluster() as cluster:
        yield cluster


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_restarts_is_waited_for(cluster: Cluster, tmp_path: Path, mode: str) -> None:
    """While PostgreSQL is down everything is refused, nothing is said to be unknown; when it is back all goes on."""
    site = new_site(tmp_path / "site", cluster.url)
    with under_load(site, patient_reader=True) as load:
        cluster.stop(mode)
        wait_for_refusals(*load.pushers)
        cluster.start()
        wait_for_progress(*load.pushers, load.reader)
        cluster.stop(mode)
        cluster.start()
    assert set(load.reader.statuses) == {200, 503}
