"""A Docker engine of the tests' own, all its files in a temporary folder, and the docker command that speaks to it."""

import contextlib
import re
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.contract import Image
from clients.image import Layout
from clients.sandbox import Sandbox, running_daemon
from harness.plain_logins import keep_logins_in
from harness.ports import wait_until
from harness.programs import find_program, run_program
from harness.registry import ADMIN, LiveRegistry

START_SECONDS_AT_MOST = 120.0

# Images without bridges and without firewall rules: nothing outside the folder is changed.
NO_NETWORK = ("--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")

PUSHED = re.compile(r"digest: (sha256:[0-9a-f]{64}) size: \d+")
LOADED = re.compile(r"Loaded image: (\S+)")


@dataclass(frozen=True)
class Docker:
    """The docker command of one person, with credentials of their own, speaking to the tests' engine."""

    socket: Path
    config: Path

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``docker ARGUMENTS`` and return what it said (see run_program)."""
        keep_logins_in(self.config / "config.json")
        command = [find_program("docker"), *arguments]
        return run_program(command, environment=self.environment(), stdin=stdin, expected_to_fail=expected_to_fail)

    def environment(self) -> dict[str, str]:
        """What tells the command where its engine and its credentials are."""
        return {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.config),
            # The classic builder: BuildKit is a package of its own.
            "DOCKER_BUILDKIT": "0",
        }

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in, as the admin with the right password unless others are given."""
        arguments = ["login", "--username", name, "--password-stdin", registry.address]
        return self(*arguments, stdin=password or registry.admin_password, expected_to_fail=expected_to_fail)

    def load(self, layout: Layout) -> str:
        """Let the engine have an image, and return its name there."""
        loaded = LOADED.search(self("load", "--input", layout.docker_archive()))
        assert loaded is not None
        return loaded[1]

    def push(self, layout: Layout, reference: str) -> Image:
        """Push an image from an engine that then forgets it."""
        self("tag", self.load(layout), reference)
        try:
            pushed = PUSHED.search(self("push", reference))
            assert pushed is not None
            return Image(pushed[1], self("image", "inspect", "--format", "{{.Id}}", reference).strip())
        finally:
            self.forget(reference)

    def push_in_vain(self, layout: Layout, reference: str) -> str:
        """Push an image where that is refused."""
        self("tag", self.load(layout), reference)
        try:
            return self("push", reference, expected_to_fail=True)
        finally:
            self.forget(reference)

    def pull(self, reference: str) -> Image:
        """Pull an image of which the engine has nothing."""
        self("pull", reference)
        try:
            said = self("image", "inspect", "--format", "{{.Id}} {{range .RepoDigests}}{{.}} {{end}}", reference)
            config, digest = said.split()
            return Image(digest.rpartition("@")[2], config)
        finally:
            self.forget(reference)

    def forget(self, reference: str) -> None:
        """Remove an image from the engine, with all its names and layers."""
        self("rmi", "--force", self("image", "inspect", "--format", "{{.Id}}", reference).strip())


@contextlib.contextmanager
def running_dockerd(sandbox: Sandbox) -> Generator[Path, None, None]:
    """Start dockerd and give the path of its socket; at the end it is gone."""
    folder = sandbox.folder / "docker"
    folder.mkdir()
    socket = folder / "d.sock"
    command: list[str | Path] = [
        find_program("dockerd"),
        "--data-root",
        folder / "root",
        "--exec-root",
        folder / "exec",
    ]
    command += ["--host", f"unix://{socket}", "--pidfile", folder / "d.pid", *NO_NETWORK]
    with running_daemon(sandbox, folder, *command) as process:
        _wait_for_engine(process, Docker(socket, folder / "config"), folder / "log")
        yield socket


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
