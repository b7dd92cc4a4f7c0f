"""A registry whose machine loses its power at a step, or right after an answer, on file systems of Linux.

With SQLite all of its data lies on that disk; with PostgreSQL the bytes alone, and the rows survive on another machine.
"""

import contextlib
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from crashes.client import Client
from crashes.dying import REPOSITORY, die_and_recover
from crashes.ledger import Ledger
from crashes.site import Site, new_site
from crashes.steps import (
    Stage,
    Step,
    delete_manifest,
    delete_tag,
    finish_with_body,
    mount,
    move_tag,
    push_in_chunks,
    push_manifest,
)
from harness.disks import Disk, Kind, mounted_disk
from harness.postgresql import PostgresqlServer

# Where rows begin to say that bytes are there.
BYTES_AND_ROWS = [
    Step("database committed FinishUpload._commit", push_in_chunks),
    Step("database committed FinishUpload._commit", finish_with_body),
]
# Where something has just become durable, or has to be before the next thing does.
STEPS = [
    Step("store after sync", push_in_chunks),
    Step("database committed WriteUpload._checkpoint", push_in_chunks),
    Step("store after sync", finish_with_body),
    *BYTES_AND_ROWS,
    Step("database committed PushManifest.", move_tag),
    Step("database committed DeleteManifest.", delete_manifest),
]
ACKNOWLEDGED = [push_in_chunks, finish_with_body, mount, push_manifest, move_tag, delete_tag, delete_manifest]


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Disk, None, None]:
    """A disk mounted where the site has its data."""
    kind: Kind = request.param
    with mounted_disk(tmp_path / "image", tmp_path / "site" / "data", kind) as disk:
        yield disk


def test_answers_hold_without_power(disk: Disk, tmp_path: Path) -> None:
    """Power that goes right after an answer takes nothing with it: uploads, mounts, manifests, tags, deletions."""
    site = new_site(tmp_path / "site", None)
    ledgers = []
    for number, work in enumerate(ACKNOWLEDGED):
        ledger = Ledger()
        ledgers.append(ledger)
        with contextlib.ExitStack() as stack:
            registry = stack.enter_context(site.served())
            http = stack.enter_context(site.http(registry))
            if number:
                site.survey(http, ledgers, after_power_cut=True)
            stage = stage_of(number, http, ledger)
            stage.set()
            work(stage)
            disk.cut_power()
            registry.kill()
        disk.start_again()
    with site.served() as registry, site.http(registry) as http:
        site.survey(http, ledgers, after_power_cut=True)


def test_a_checkpoint_holds_without_power(disk: Disk, tmp_path: Path) -> None:
    """A chunk that was answered 202 need not be sent again after the power was gone."""
    site = new_site(tmp_path / "site", None)
    ledger = Ledger()
    with site.served() as registry, site.http(registry) as http:
        stage = stage_of(0, http, ledger)
        location = stage.client.start_upload()
        stage.client.write(location, stage.new, 0)
        disk.cut_power()
        registry.kill()
    disk.start_again()
    with site.served() as registry, site.http(registry) as http:
        client = Client(http, stage.client.repository, ledger)
        assert client.offset(location) == len(stage.new)
        client.finish(location, stage.new)
        site.survey(http, [ledger], after_power_cut=True)


def stage_of(number: int, http: httpx.Client, ledger: Ledger) -> Stage:
    """A stage with a repository of its own, in a registry that others have used before."""
    name = f"{REPOSITORY}-{number}"
    return Stage(Client(http, name, ledger), Client(http, f"{name}/other", ledger))


class TestOnSqlite:
    """The rows lose their power too."""

    @pytest.mark.parametrize("step", STEPS, ids=str)
    def test_a_cut_loses_nothing(self, step: Step, disk: Disk, tmp_path: Path) -> None:
        """What was answered is there, what is visible is whole, and what was interrupted can be done again."""
        cut(new_site(tmp_path / "site", None), step, disk)


class TestOnPostgresql:
    """Rows that say that bytes are there outlive the power of the bytes."""

    @pytest.mark.parametrize("step", BYTES_AND_ROWS, ids=str)
    def test_a_cut_loses_nothing(self, step: Step, disk: Disk, tmp_path: Path, postgresql: PostgresqlServer) -> None:
        """What was answered is there, what is visible is whole, and what was interrupted can be done again."""
        cut(new_site(tmp_path / "site", postgresql.fresh_database()), step, disk)


def cut(site: Site, step: Step, disk: Disk) -> None:
    """Cut the power at the step."""
    die_and_recover(site, step, cut_disk=disk.path, between=disk.start_again)
