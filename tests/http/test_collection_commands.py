"""`entrepot gc` and `entrepot admin repository delete` as operators run them, beside a server."""

import contextlib
import io
import json
import os
import sqlite3
import sys
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from entrepot.cli import main
from entrepot.cli.exit_codes import ExitCode
from harness.fixtures import StartRegistry
from harness.protocol import Repository, digest_of
from harness.registry import ADMIN, LiveRegistry

SOON = {
    "ENTREPOT_GC__REVIEW_AFTER": "0s",
    "ENTREPOT_GC__UNTAGGED_AFTER": "0s",
    "ENTREPOT_GC__PULLED_WITHIN": "0s",
    "ENTREPOT_GC__DELETE_AFTER": "1s",
    "ENTREPOT_UPLOADS__LEASE": "1s",
}
LAYER = b"a layer"


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run(registry: LiveRegistry, *arguments: str, answer: str = "") -> Ended:
    """Run a command over the registry's data with its settings, in this process, where it is loaded already."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in [name for name in os.environ if name.startswith("ENTREPOT_")]:
            patch.delenv(name)
        for name, value in SOON.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["entrepot", *arguments, "--data", str(registry.data)])
        patch.setattr(sys, "stdin", io.StringIO(answer))
        with pytest.raises(SystemExit) as caught:
            main()
    assert isinstance(caught.value.code, int)
    return Ended(caught.value.code, out.getvalue(), err.getvalue())


def document(registry: LiveRegistry, *arguments: str) -> Any:
    """What a command prints for programs."""
    ended = run(registry, *arguments, "--output", "json")
    assert (ended.returncode, ended.stderr) == (ExitCode.OK, "")
    return json.loads(ended.stdout)


def until_all_is_over(registry: LiveRegistry) -> None:
    """Move every promise of the registry into the past, as time would."""
    statements = [
        f"UPDATE {table} SET {column} = {column} - 100000000"  # ruff: ignore[hardcoded-sql-expression]  ours
        for table, column in (
            ("manifest_reviews", "waits_from"),
            ("link_reviews", "waits_from"),
            ("blob_reviews", "waits_from"),
            ("manifest_reviews", "event_at"),
            ("manifests", "lease_until"),
            ("repository_blobs", "lease_until"),
            ("dead_objects", "delete_after"),
        )
    ]
    with contextlib.closing(sqlite3.connect(registry.data / "entrepot.db", timeout=10)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def registry(live_registry: StartRegistry) -> LiveRegistry:
    """A running registry whose promises are short."""
    return live_registry(environment=SOON)


@pytest.fixture
def repository(registry: LiveRegistry) -> Any:
    """A repository with one image that has a tag and one that has lost it."""
    with httpx.Client(base_url=registry.url, auth=(ADMIN, registry.admin_password), timeout=30) as client:
        made = Repository(client)
        made.push_image("kept", b"a layer that stays")
        made.push_image("gone", LAYER)
        assert client.delete(f"{made.base}/manifests/gone").status_code == httpx.codes.ACCEPTED
        yield made


def test_collection_from_plan_to_space(registry: LiveRegistry, repository: Repository) -> None:
    """A plan changes nothing; runs beside the server take what it said, and the status tells what came back."""
    until_all_is_over(registry)
    before = document(registry, "gc", "status")
    planned = document(registry, "gc", "plan")
    [manifest] = [entry for entry in planned if entry["queue"] == "manifests"]
    assert (manifest["outcome"], manifest["reason"]) == ("collect", "untagged")
    assert {entry["repository"] for entry in planned} == {repository.name}
    table = run(registry, "gc", "plan")
    assert table.returncode == ExitCode.OK
    assert table.stdout.startswith("queue")
    assert table.stdout.rstrip().endswith(f"1 of {len(planned)} would go")
    assert {**document(registry, "gc", "status"), "at": ""} == {**before, "at": ""}
    going = next(entry["digest"] for entry in planned if entry["outcome"] == "collect")

    sums: dict[str, int] = {}
    for _ in range(5):
        until_all_is_over(registry)
        for what, count in document(registry, "gc", "run").items():
            sums[what] = sums.get(what, 0) + count

    assert sums == {
        "uploads": 0,
        "manifests": 1,
        "links": 1,
        "blobs": 1,
        "objects": 1,
        "bytes": len(LAYER),
        "failures": 0,
    }
    status = document(registry, "gc", "status")
    assert status["reclaimed_bytes"] == len(LAYER)
    assert [row["repository"] for row in status["repositories"]] == [repository.name]
    assert all(queue["waiting"] == queue["failing"] == 0 for queue in status["queues"].values())
    assert repository.client.get(f"{repository.base}/manifests/kept").status_code == httpx.codes.OK
    assert repository.client.get(f"{repository.base}/manifests/{going}").status_code == httpx.codes.NOT_FOUND
    assert repository.client.get(f"{repository.base}/blobs/{digest_of(LAYER)}").status_code == httpx.codes.NOT_FOUND
    shown = run(registry, "gc", "status").stdout
    assert f"reclaimed so far: {len(LAYER)} B" in shown
    assert shown.startswith("queue")


def test_a_sweep_and_a_table(registry: LiveRegistry, repository: Repository) -> None:
    """A run prints its counts for people too, and with ``--sweep`` compares the store with the database."""
    folder = next(path.parent for path in (registry.data / "store" / "objects").rglob("*") if path.is_file())
    name = "0" * len(next(path for path in folder.iterdir() if path.is_file()).name)
    (folder / name).write_bytes(b"unknown")

    swept = document(registry, "gc", "run", "--sweep")

    assert swept["unknown"] == 1
    assert swept["swept"] == swept["unknown"] + 3
    ended = run(registry, "gc", "run")
    assert (ended.returncode, ended.stderr) == (ExitCode.OK, "")
    assert ended.stdout.splitlines()[0].split() == ["what", "count"]
    assert repository.client.get(f"{repository.base}/manifests/kept").status_code == httpx.codes.OK


def test_a_run_that_fails_in_part_says_so(registry: LiveRegistry, repository: Repository) -> None:
    """Where a row cannot be removed the command ends with exit code 10, and the plan shows why."""
    del repository
    with contextlib.closing(sqlite3.connect(registry.data / "entrepot.db", timeout=10)) as connection, connection:
        connection.execute(
            "INSERT INTO dead_objects (key, store_id, size, delete_after, repository, attempts)"
            " SELECT key, store_id, size, 0, '', 0 FROM blob_objects WHERE size = ?",
            (len(LAYER),),
        )
    codes = set()
    for _ in range(4):
        until_all_is_over(registry)
        codes.add(run(registry, "gc", "run").returncode)
        if ExitCode.PARTIAL in codes:
            break

    assert codes == {ExitCode.OK, ExitCode.PARTIAL}
    [failed] = [entry for entry in document(registry, "gc", "plan", "--all") if entry["attempts"]]
    assert failed["digest"] == digest_of(LAYER)
    assert failed["last_error"].startswith("UniqueViolation")
    assert document(registry, "gc", "status")["queues"]["blobs"]["failing"] == 1


def test_a_repository_is_deleted(registry: LiveRegistry, repository: Repository) -> None:
    """The plan changes nothing, a question comes before the deletion, and afterwards clients find nothing."""
    command = ("admin", "repository", "delete", repository.name)
    planned = document(registry, *command, "--plan")
    assert (planned["repository"], planned["state"], planned["tags"], planned["manifests"]) == (
        repository.name,
        "active",
        1,
        2,
    )
    refused = run(registry, *command, answer="n\n")
    assert refused.returncode == ExitCode.OTHER
    assert "Delete it?" in refused.stderr
    assert repository.client.get(f"{repository.base}/manifests/kept").status_code == httpx.codes.OK

    assert document(registry, *command, "--yes") == planned

    assert repository.client.get(f"{repository.base}/manifests/kept").status_code == httpx.codes.NOT_FOUND
    assert repository.client.get(f"{repository.base}/tags/list").status_code == httpx.codes.NOT_FOUND
    assert run(registry, *command, "--yes").returncode == ExitCode.NOT_FOUND
    repository.push_image("new")


def test_json_stays_json_where_a_question_is_asked(registry: LiveRegistry, repository: Repository) -> None:
    """What is shown before the question goes to stderr, so that stdout holds one document."""
    ended = run(registry, "admin", "repository", "delete", repository.name, "--output", "json", answer="y\n")
    assert ended.returncode == ExitCode.OK
    assert json.loads(ended.stdout)["repository"] == repository.name


def test_names_that_cannot_be_deleted(registry: LiveRegistry) -> None:
    """A name that is unknown and one that is none are told apart, with exit codes of their own."""
    for name, option, code, said in (
        ("not/there", "--plan", ExitCode.NOT_FOUND, "repository unknown to this registry (name: not/there)"),
        ("not/there", "--yes", ExitCode.NOT_FOUND, "repository unknown to this registry (name: not/there)"),
        ("Not A Name", "--plan", ExitCode.USAGE, "'Not A Name' is no name of a repository"),
        ("Not A Name", "--yes", ExitCode.USAGE, "'Not A Name' is no name of a repository"),
    ):
        ended = run(registry, "admin", "repository", "delete", name, option)
        assert (ended.returncode, ended.stdout) == (code, "")
        assert ended.stderr.startswith(f"entrepot: {said}")
