"""A Docker engine of the tests' own, all its files in a temporary folder, and the docker command that speaks to it."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.ports import wait_until
from harness.programs import find_program, run_program

START_SECONDS_AT_MOST = 60.0
STOP_SECONDS_AT_MOST = 30.0

# Images without bridges and without firewall rules: nothing outside the folder is changed.
NO_NETWORK = ("--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")


@dataclass(frozen=True)
class Docker:
    """The docker command of one person, with credentials of their own, speaking to the tests' engine."""

    socket: Path
    config: Path

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``docker ARGUMENTS`` and return what it said (see run_program)."""
        environment = {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.config),
            # The classic builder: BuildKit is a package of its own.
            "DOCKER_BUILDKIT": "0",
        }
        command = [find_program("docker"), *arguments]
        return run_program(command, environment=environment, stdin=stdin, expected_to_fail=expected_to_fail)


@contextlib.contextmanager
def running_dockerd() -> Generator[Path, None, None]:
    """Start dockerd and give the path of its socket; at the end it and its folder are gone."""
    # Not pytest's own folder: a socket's path may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="entrepot-docker-"))
    socket, log_file = folder / "d.sock", folder / "log"
    command: list[str | Path] = [
        find_program("dockerd"),
        "--data-root",
        folder / "root",
        "--exec-root",
        folder / "exec",
    ]
    command += ["--host", f"unix://{socket}", "--pidfile", folder / "d.pid"]
    try:
        with log_file.open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for_engine(process, Docker(socket, folder / "config"), log_file)
            yield socket
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_AT_MOST)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS_AT_MOST)
    finally:
        _unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_engine(process: subprocess.Popen[bytes], docker: Docker, log_file: Path) -> None:
    """Return when the engine answers; one that ends or does not answer in time fails the test and shows its log."""

    def answers() -> bool:
        if process.poll() is not None:
            message = f"dockerd ended with exit code {process.returncode}"
            raise TimeoutError(message)
        return docker.socket.exists() and bool(docker("version", "--format", "{{.Server.Version}}"))

    try:
        wait_until(answers, "dockerd answers", seconds_at_most=START_SECONDS_AT_MOST)
    except TimeoutError as failure:
        log = log_file.read_text(encoding="utf-8", errors="replace")
        pytest.fail(f"{failure} (it needs root):\n{log}", pytrace=False)


def _unmount_below(folder: Path) -> None:
    """Undo what an engine that was killed left mounted."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    mounts = [line.split()[4] for line in lines]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        subprocess.run([find_program("umount"), "--lazy", mount], check=False, timeout=STOP_SECONDS_AT_MOST)
