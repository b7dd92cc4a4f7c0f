"""A mount namespace of the tests' own, so that clients find settings where they look for them and nothing leaks out."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.programs import find_program, run_program

TLS_NAME = "registry.example.com"
"""A name that leads to ::1 there: docker trusts any certificate of 127.0.0.0/8."""

STOP_SECONDS_AT_MOST = 30.0

# /etc is a copy on write, /run and the folder of podman's images are new and empty. The last line lives as long as its
# standard input, which is ours.
SETUP = f"""
set -e
mkdir "$1/etc" "$1/containers"
mount -t tmpfs tmpfs "$1/etc"
mkdir "$1/etc/upper" "$1/etc/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/etc/upper,workdir=$1/etc/work" /etc
rm -rf /etc/hosts /etc/docker
printf '127.0.0.1 localhost\\n::1 {TLS_NAME}\\n' > /etc/hosts
mkdir -p /var/lib/containers
mount --bind "$1/containers" /var/lib/containers
mount -t tmpfs tmpfs /run
echo ready
exec cat
"""


@dataclass(frozen=True)
class Sandbox:
    """The namespace, held by the process ``pid``, and a folder for what runs in it."""

    pid: int
    folder: Path

    def inside(self, *command: str | Path) -> list[str | Path]:
        """The command line that runs ``command`` there."""
        return [find_program("nsenter"), f"--target={self.pid}", "--mount", "--", *command]

    def run(
        self,
        *command: str | Path,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
        expected_to_fail: bool = False,
    ) -> str:
        """Run a program there and return what it said (see run_program)."""
        line = self.inside(*command)
        return run_program(line, environment=environment, stdin=stdin, expected_to_fail=expected_to_fail)


@contextlib.contextmanager
def running_sandbox() -> Generator[Sandbox, None, None]:
    """Make the namespace; at the end it and its folder are gone."""
    # Not pytest's own folder: a socket's path may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="entrepot-clients-"))
    command: list[str | Path] = [find_program("unshare"), "--mount", "--propagation", "private", "sh", "-c"]
    command += [SETUP, "sh", folder]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                pytest.fail("no mount namespace could be made: the tests of clients need root", pytrace=False)
            yield Sandbox(process.pid, folder)
            process.stdin.close()
            process.wait(STOP_SECONDS_AT_MOST)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_daemon(
    sandbox: Sandbox, folder: Path, *command: str | Path
) -> Generator[subprocess.Popen[bytes], None, None]:
    """Run a daemon there, its output in ``folder/log``, and end it by its id."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in sandbox.inside(*command)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_AT_MOST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS_AT_MOST)
