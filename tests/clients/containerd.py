"""containerd of the tests' own, and its command `ctr`, which asks for user and password with each command."""

import contextlib
import hashlib
import json
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.contract import Image
from clients.image import Layout
from clients.sandbox import Sandbox, running_daemon
from harness.ports import wait_until
from harness.programs import SECONDS_AT_MOST, find_program, run_program
from harness.registry import ADMIN, LiveRegistry

START_SECONDS_AT_MOST = 120.0

CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/c.sock"
[ttrpc]
address = "{folder}/t.sock"
"""


@dataclass
class Ctr:
    """The command `ctr` of one person, speaking to the tests' containerd."""

    socket: Path
    credentials: str = ""

    def __call__(self, *arguments: str | Path, expected_to_fail: bool = False) -> str:
        """Run ``ctr ARGUMENTS`` and return what it said (see run_program)."""
        command = [find_program("ctr"), "--address", self.socket, *arguments]
        return run_program(command, expected_to_fail=expected_to_fail)

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Remember what to send with each command; `ctr` has no login, so a pull shows whether it is right."""
        self.credentials = f"{name}:{password or registry.admin_password}"
        if expected_to_fail:
            return self("images", "pull", *self.options(), f"{registry.address}/any:1", expected_to_fail=True)
        return ""

    def options(self) -> list[str]:
        """What stands behind `pull` and `push`."""
        return ["--plain-http", *(["--user", self.credentials] if self.credentials else [])]

    def push(self, layout: Layout, reference: str) -> Image:
        """Push an image from a containerd that then forgets it."""
        with self._loaded(layout) as image:
            self("images", "push", *self.options(), reference, image)
        return Image(layout.digest, layout.config())

    def push_in_vain(self, layout: Layout, reference: str) -> str:
        """Push an image where that is refused; without ``--debug`` it only says that."""
        with self._loaded(layout) as image:
            return self("--debug", "images", "push", *self.options(), reference, image, expected_to_fail=True)

    def pull(self, reference: str) -> Image:
        """Pull an image of which containerd has nothing, and compare each of its blobs with its digest."""
        assert not self("content", "ls", "--quiet")
        self("images", "pull", *self.options(), reference)
        try:
            for digest in self("content", "ls", "--quiet").split():
                assert hashlib.sha256(self.content(digest)).hexdigest() == digest.removeprefix("sha256:")
            digest = self._digest_of(reference)
            return Image(digest, json.loads(self.content(digest))["config"]["digest"])
        finally:
            self.forget(reference)

    def content(self, digest: str) -> bytes:
        """The bytes of a manifest or blob that containerd has."""
        command: list[str | Path] = [find_program("ctr"), "--address", self.socket, "content", "get", digest]
        return subprocess.run(command, capture_output=True, timeout=SECONDS_AT_MOST, check=True).stdout

    def forget(self, reference: str) -> None:
        """Remove an image and wait until its blobs are collected."""
        self("images", "rm", "--sync", reference)

    @contextlib.contextmanager
    def _loaded(self, layout: Layout) -> Generator[str, None, None]:
        """Let containerd have an image, and give its name there."""
        name = f"loaded/{layout.path.name}"
        self("images", "import", "--no-unpack", "--all-platforms", "--base-name", name, layout.archive())
        try:
            yield f"{name}:latest"
        finally:
            self.forget(f"{name}:latest")

    def _digest_of(self, reference: str) -> str:
        """What an image's name leads to."""
        (line,) = [line for line in self("images", "ls").splitlines() if line.startswith(f"{reference} ")]
        return line.split()[2]


@contextlib.contextmanager
def running_containerd(sandbox: Sandbox) -> Generator[Path, None, None]:
    """Start containerd and give the path of its socket; at the end it is gone."""
    folder = sandbox.folder / "containerd"
    folder.mkdir()
    config, socket = folder / "config.toml", folder / "c.sock"
    config.write_text(CONFIG.format(folder=folder), encoding="utf-8")
    with running_daemon(sandbox, folder, find_program("containerd"), "--config", config) as process:

        def answers() -> bool:
            if process.poll() is not None:
                message = f"containerd ended with exit code {process.returncode}"
                raise TimeoutError(message)
            return "containerd successfully booted" in (folder / "log").read_text(encoding="utf-8")

        try:
            wait_until(answers, "containerd answers", seconds_at_most=START_SECONDS_AT_MOST)
        except TimeoutError as failure:
            log = (folder / "log").read_text(encoding="utf-8", errors="replace")
            pytest.fail(f"{failure} (it needs root):\n{log}", pytrace=False)
        yield socket
