"""The clients that are measured, each with the command lines that do the same work."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bench.clients.images import TAG
from bench.errors import BenchFailed
from bench.machine import CHECKOUT

Command: TypeAlias = list[str]


@dataclass(frozen=True, slots=True)
class Subject:
    """One client; what needs several runs of it is several commands."""

    name: str
    start: Command
    """The least that it can do: it prints its version."""
    resolve: Callable[[str], Command]
    """What ``host/repository:tag`` names, by the cheapest command that asks a registry."""
    push: Callable[[Path, str], Command]
    """From a layout to ``host/repository:tag``."""
    pull: Callable[[str, Path], Command]
    """Back, into a layout that does not exist."""
    copy: Callable[[str, str, list[str]], list[Command]]
    """All tags of one ``host/repository`` to another."""

    @property
    def version(self) -> str:
        """What it says of itself, in one line."""
        said = subprocess.run(self.start, capture_output=True, text=True, check=True).stdout
        return " ".join(said.split("\n")[0].split()).removeprefix("skopeo version ").removeprefix("Version: ")


def subjects() -> list[Subject]:
    """Ours and the peers; raises BenchFailed for one that is missing."""
    return [_entrepot(), _skopeo(), _crane(), _oras()]


def _entrepot() -> Subject:
    ours = str(Path(sys.executable).parent / "entrepot")
    quiet = ["--plain-http", "--anonymous", "--progress", "none"]
    return Subject(
        name="entrepot",
        start=[ours, "--version"],
        resolve=lambda name: [ours, "digest", "--plain-http", "--anonymous", name],
        push=lambda layout, name: [ours, "push", *quiet, f"oci:{layout}:{TAG}", name],
        pull=lambda name, layout: [ours, "pull", *quiet, name, f"oci:{layout}:{TAG}"],
        copy=lambda source, target, _: [[ours, "copy", *quiet, "--all-tags", source, target]],
    )


def _skopeo() -> Subject:
    skopeo = _found("skopeo")
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    return Subject(
        name="skopeo",
        start=[skopeo, "--version"],
        resolve=lambda name: [skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
        push=lambda layout, name: [skopeo, "copy", "--quiet", *plain, f"oci:{layout}:{TAG}", f"docker://{name}"],
        pull=lambda name, layout: [skopeo, "copy", "--quiet", *plain, f"docker://{name}", f"oci:{layout}:{TAG}"],
        # It puts the source's last component behind the target.
        copy=lambda source, target, _: [
            [skopeo, "sync", *plain, "--src", "docker", "--dest", "docker", source, target.rpartition("/")[0]]
        ],
    )


def _crane() -> Subject:
    crane = _found("crane")
    return Subject(
        name="crane",
        start=[crane, "version"],
        resolve=lambda name: [crane, "digest", name],
        push=lambda layout, name: [crane, "push", str(layout), name],
        pull=lambda name, layout: [crane, "pull", "--format", "oci", name, str(layout)],
        copy=lambda source, target, _: [[crane, "copy", "--all-tags", source, target]],
    )


def _oras() -> Subject:
    oras = _found("oras")
    copy = [oras, "copy", "--no-tty"]
    plain = ["--from-plain-http", "--to-plain-http"]
    return Subject(
        name="oras",
        start=[oras, "version"],
        resolve=lambda name: [oras, "resolve", "--plain-http", name],
        push=lambda layout, name: [*copy, "--to-plain-http", "--from-oci-layout", f"{layout}:{TAG}", name],
        pull=lambda name, layout: [*copy, "--from-plain-http", "--to-oci-layout", name, f"{layout}:{TAG}"],
        # It knows no repository as a whole.
        copy=lambda source, target, tags: [[*copy, *plain, f"{source}:{tag}", f"{target}:{tag}"] for tag in tags],
    )


def _found(name: str) -> str:
    tools = Path(os.environ.get("TOOLS_DIR") or CHECKOUT / ".cache" / "tools").absolute() / "bin" / name
    program = str(tools) if tools.is_file() else shutil.which(name)
    if program is None:
        raise BenchFailed(f"the program {name!r} is missing: run `make tools`")
    return program


PEERS: Final = ("skopeo", "crane", "oras")
