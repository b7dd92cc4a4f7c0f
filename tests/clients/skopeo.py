"""The skopeo command, which keeps no images: it copies from one place to another."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clients.contract import Image
from clients.image import Layout
from harness.programs import find_program, run_program
from harness.registry import ADMIN, LiveRegistry

PUSH = ("--all", "--preserve-digests", "--dest-tls-verify=false")
PULL = ("--all", "--preserve-digests", "--src-tls-verify=false")


@dataclass
class Skopeo:
    """The skopeo command of one person, with credentials of their own in ``folder``."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.policy = self.folder / "policy.json"
        self.policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}', encoding="utf-8")
        # Else skopeo would take those of whoever runs the tests.
        self.auth_file = self.folder / "auth.json"
        self.auth_file.write_text("{}", encoding="utf-8")

    def __call__(self, command: str, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``skopeo COMMAND ARGUMENTS`` and return what it said (see run_program)."""
        return run_program(self.line(command, *arguments), stdin=stdin, expected_to_fail=expected_to_fail)

    def line(self, command: str, *arguments: str | Path) -> list[str | Path]:
        """The command line of ``skopeo COMMAND ARGUMENTS``."""
        return [find_program("skopeo"), "--policy", self.policy, command, "--authfile", self.auth_file, *arguments]

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in, as the admin with the right password unless others are given."""
        arguments = ["--tls-verify=false", "--username", name, "--password-stdin", registry.address]
        return self("login", *arguments, stdin=password or registry.admin_password, expected_to_fail=expected_to_fail)

    def push(self, layout: Layout, reference: str) -> Image:
        """Push an image as it is."""
        self("copy", *PUSH, layout.reference(), f"docker://{reference}")
        return Image(layout.digest, layout.config())

    def push_in_vain(self, layout: Layout, reference: str) -> str:
        """Push an image where that is refused."""
        return self("copy", *PUSH, layout.reference(), f"docker://{reference}", expected_to_fail=True)

    def pull(self, reference: str) -> Image:
        """Pull an image into a layout of its own."""
        folder = self.folder / f"pulled-{next(self._numbers)}"
        self("copy", *PULL, f"docker://{reference}", f"oci:{folder}:latest")
        (entry,) = json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"]
        return Image(entry["digest"], Layout(folder, entry["digest"]).config())
