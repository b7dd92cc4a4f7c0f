"""Where the programs are that the tests start; a missing one fails the test and is named, it never skips."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

SECONDS_AT_MOST = 120.0


def tools_folder() -> Path:
    """Where `make tools` keeps what it built and fetched."""
    return Path(os.environ.get("TOOLS_DIR") or CHECKOUT / ".cache" / "tools").absolute()


def find_program(name: str) -> Path:
    """A program by its name: built by `make tools`, on the PATH, or where Debian keeps PostgreSQL's and root's."""
    built = tools_folder() / "bin" / name
    if built.is_file():
        return built
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    if found := shutil.which(name, path=path):
        return Path(found)
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(versions, key=lambda program: int(program.parts[-3]), default=None)
    if newest is None:
        pytest.fail(f"the program {name!r} is missing: run `make tools`", pytrace=False)
    return newest


def run_program(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path | None = None,
    expected_to_fail: bool = False,
    seconds_at_most: float = SECONDS_AT_MOST,
) -> str:
    """Run a program to its end and return what it wrote to stdout, or to both streams when it is expected to fail.

    Any other outcome fails the test and shows what the program said.
    """
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(environment or {})},
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds_at_most,
        check=False,
    )
    if (done.returncode != 0) != expected_to_fail:
        shown = " ".join(str(part) for part in command)
        outcome = f"exit code {done.returncode}"
        pytest.fail(f"{shown}\n{outcome}\n{done.stdout}\n{done.stderr}", pytrace=True)
    return done.stdout + done.stderr if expected_to_fail else done.stdout
