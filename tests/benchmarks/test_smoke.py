"""The benchmark itself, in small: it runs, and it notices wrong answers. Nothing here depends on speed."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.fixtures import StartRegistry
from harness.programs import CHECKOUT, find_program, run_program

SECONDS_AT_MOST = 240


def test_every_load_runs_on_both_registries_with_right_answers(tmp_path: Path) -> None:
    """A run in small ends well, with figures for every load on each registry, and with tables in both languages."""
    registry = find_program("registry")
    environment = {"TOOLS_DIR": str(registry.parent.parent), "TMPDIR": str(tmp_path)}
    command: list[str | Path] = [sys.executable, "-m", "bench", "--size", "smoke", "--output", tmp_path / "results"]

    run_program(command, environment=environment, cwd=CHECKOUT, seconds_at_most=SECONDS_AT_MOST)

    rows = json.loads((tmp_path / "results" / "smoke.json").read_text(encoding="utf-8"))["measurements"]
    loads = {
        name: {row["scenario"] for row in rows if row["registry"] == name} for name in ("entrepot", "distribution")
    }
    assert {"large-push", "large-pull", "small-blobs", "tags", "manifest-get-basic-1"} <= loads["distribution"]
    assert (
        loads["entrepot"] - loads["distribution"] == {load for load in loads["entrepot"] if "bearer" in load} != set()
    )
    assert all(row["units"] > 0 and row["seconds"] > 0 and row["peak_mib"] > 1 for row in rows)
    for page in ("benchmarks.md", "benchmarks.zh-CN.md"):
        lines = (tmp_path / "results" / page).read_text(encoding="utf-8").splitlines()
        assert len([line for line in lines if line.startswith("| ")]) == 2 * (2 + len(loads["entrepot"]))
    assert not list(tmp_path.glob("entrepot-bench-*"))


def test_every_client_does_every_scenario(tmp_path: Path) -> None:
    """A run in small ends well, with figures for each client, and with tables in both languages."""
    registry = find_program("registry")
    environment = {"TOOLS_DIR": str(registry.parent.parent), "TMPDIR": str(tmp_path)}
    command: list[str | Path] = [sys.executable, "-m", "bench.clients", "--size", "smoke", "--output", tmp_path / "r"]

    run_program(command, environment=environment, cwd=CHECKOUT, seconds_at_most=SECONDS_AT_MOST)

    rows = json.loads((tmp_path / "r" / "clients-smoke.json").read_text(encoding="utf-8"))["measurements"]
    clients = {"entrepot", "skopeo", "crane", "oras"}
    scenarios = {row["scenario"] for row in rows}
    assert {(row["scenario"], row["client"]) for row in rows} == set(itertools.product(scenarios, clients))
    assert scenarios >= {"start", "resolve", "push-large", "pull-large", "push-many", "pull-many", "copy-unchanged"}
    assert all(row["seconds"] > 0 and row["peak_mib"] > 1 for row in rows)
    assert all((row["requests"] > 0) == (row["scenario"] != "start") for row in rows)
    for page in ("benchmarks.md", "benchmarks.zh-CN.md"):
        lines = (tmp_path / "r" / page).read_text(encoding="utf-8").splitlines()
        assert len([line for line in lines if line.startswith("| ")]) == 3 * (2 + len(scenarios))
    assert not list(tmp_path.glob("entrepot-bench-*"))


def test_a_wrong_answer_ends_the_run(live_registry: StartRegistry) -> None:
    """The driver fails, and says what it got, where the manifest that it asks for is not there."""
    registry = live_registry("--anonymous", "pull")
    job = {
        "load": "manifest",
        "port": int(registry.address.rpartition(":")[2]),
        "authorization": "",
        "repository": "bench/absent",
        "seed": 1,
        "amount": 0.1,
    }

    done = _drive(job)

    assert done.returncode == 1
    assert "WrongAnswer: 200 was expected" in done.stderr
    assert "NAME_UNKNOWN" in done.stderr
    assert not done.stdout


def _drive(job: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.driver"],
        input=json.dumps(job),
        env=os.environ,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=SECONDS_AT_MOST,
        check=False,
    )
