"""The worker beside a server, and one without, as processes that run as their users run them."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from harness.fixtures import StartRegistry
from harness.ports import free_port, wait_until
from harness.programs import run_program
from harness.registry import LiveRegistry

ENTREPOT = Path(sys.executable).with_name("entrepot")
WAIT = 60.0  # seconds after which a test that hangs fails
# At once, and without the jobs that come by themselves each minute.
SOON = {
    "ENTREPOT_JOBS__IN_SERVE": "true",
    "ENTREPOT_JOBS__POLL_INTERVAL": "100ms",
    "ENTREPOT_GC__SCHEDULE": "0 0 1 1 *",
    "ENTREPOT_GC__SWEEP_SCHEDULE": "0 0 1 1 *",
}


def children_of(pid: int) -> set[int]:
    """The worker processes of a server, without Python's own helper for shared resources."""
    lists = [path.read_text(encoding="ascii").split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    found = {int(child) for children in lists for child in children}
    return {child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def worker_of(registry: LiveRegistry, *, but: int | None = None) -> int:
    """Wait until a worker process that is not ``but`` says that it works; returns its process number."""

    def words() -> set[int]:
        lines = [line for line in registry.log().splitlines() if '"worker begins"' in line]
        return {int(json.loads(line)["runner"].split(":")[1]) for line in lines} - {but}

    wait_until(lambda: bool(words()), "a worker begins", seconds_at_most=WAIT)
    (pid,) = words()
    return pid


def jobs(registry: LiveRegistry, *arguments: str) -> str:
    """What `entrepot jobs` says of a running registry."""
    return run_program([ENTREPOT, "jobs", *arguments, "--data", registry.data])


def test_serve_runs_jobs(live_registry: StartRegistry) -> None:
    """A job that is queued beside a running server is done by its worker; the numbers count jobs by kind and state."""
    port = free_port()
    registry = live_registry("--ops-listen", f"127.0.0.1:{port}", environment=SOON)
    assert jobs(registry, "run", "jobs.trim", "--wait") == "job 1 is queued\njob 1 is done\n"
    kinds = [line.split()[0] for line in jobs(registry, "schedules").splitlines()[1:]]
    assert kinds == ["audit.trim", "gc.collect", "gc.sweep", "jobs.trim", "tokens.rotate"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT) as answer:
        numbers = answer.read().decode()
    assert 'entrepot_jobs{kind="jobs.trim",state="queued"} 0.0' in numbers
    assert 'entrepot_jobs{kind="jobs.trim",state="failed"} 0.0' in numbers


def test_a_worker_that_dies_is_replaced_and_stops_with_its_server(live_registry: StartRegistry) -> None:
    """A worker that is killed is replaced while the server serves on, and none is left when the server has stopped."""
    registry = live_registry(environment=SOON)
    first = worker_of(registry)
    assert children_of(registry.pid) == {first}

    os.kill(first, signal.SIGKILL)
    second = worker_of(registry, but=first)
    assert jobs(registry, "run", "jobs.trim", "--wait").endswith("is done\n")

    assert registry.stop() == 0
    wait_until(lambda: not Path(f"/proc/{second}").exists(), "the worker is gone", seconds_at_most=WAIT)
    assert "is killed" not in registry.log()


def test_a_worker_stops_when_its_server_is_killed(live_registry: StartRegistry) -> None:
    """A worker whose server died without a word stops by itself."""
    registry = live_registry(environment=SOON)
    worker = worker_of(registry)
    registry.kill()
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the worker is gone", seconds_at_most=WAIT)


def test_a_worker_alone_does_what_a_server_without_leaves(live_registry: StartRegistry, tmp_path: Path) -> None:
    """With ``--no-worker`` jobs stay queued until `entrepot worker` runs beside; SIGTERM ends that with exit code 0."""
    registry = live_registry("--no-worker", "--workers", "2", environment=SOON)
    assert len(children_of(registry.pid)) == 2
    jobs(registry, "run", "jobs.trim")
    assert "queued" in jobs(registry, "list")

    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen([ENTREPOT, "worker", "--data", registry.data], stderr=log, env={**os.environ, **SOON})
    try:
        assert jobs(registry, "run", "jobs.trim", "--wait").endswith("is done\n")
        worker.terminate()
        assert worker.wait(WAIT) == 0
    finally:
        worker.kill()
        worker.wait()
    assert "worker begins" not in registry.log()


def test_a_worker_beside_several_servers_processes(live_registry: StartRegistry) -> None:
    """Where several processes serve, one more runs jobs, and all of them stop together."""
    registry = live_registry("--workers", "2", environment=SOON)
    worker = worker_of(registry)
    processes = children_of(registry.pid)
    assert worker in processes
    assert len(processes) == 3
    assert jobs(registry, "run", "jobs.trim", "--wait").endswith("is done\n")
    assert registry.stop() == 0
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


def test_a_worker_without_a_schema_is_refused(tmp_path: Path) -> None:
    """`entrepot worker` makes no database, and says in one line which command does."""
    said = run_program([ENTREPOT, "worker", "--data", tmp_path], expected_to_fail=True)
    assert said.startswith("entrepot: database: the database has no schema yet; run: entrepot db upgrade")
    assert said.count("\n") == 1
