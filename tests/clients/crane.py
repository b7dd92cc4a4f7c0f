"""The crane command, which keeps no images either."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clients.contract import Image
from clients.image import Layout
from harness.programs import find_program, run_program
from harness.registry import ADMIN, LiveRegistry


@dataclass
class Crane:
    """The crane command of one person, with credentials of their own in ``config``."""

    config: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``crane ARGUMENTS`` and return what it said (see run_program), without the last line break."""
        command, environment = self.line(*arguments), self.environment()
        return run_program(command, environment=environment, stdin=stdin, expected_to_fail=expected_to_fail).strip()

    def line(self, *arguments: str | Path) -> list[str | Path]:
        """The command line of ``crane ARGUMENTS``."""
        return [find_program("crane"), *arguments]

    def environment(self) -> dict[str, str]:
        """What tells the command where its credentials are."""
        return {"DOCKER_CONFIG": str(self.config)}

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Keep the admin's password, or others, and list the catalog: `crane auth login` itself asks nobody."""
        stdin = password or registry.admin_password
        self("auth", "login", registry.address, "--username", name, "--password-stdin", stdin=stdin)
        return self("catalog", registry.address, expected_to_fail=expected_to_fail)

    def push(self, layout: Layout, reference: str) -> Image:
        """Push an image as it is."""
        pushed = self("push", layout.path, reference)
        return Image(pushed.rpartition("@")[2], layout.config())

    def push_in_vain(self, layout: Layout, reference: str) -> str:
        """Push an image where that is refused."""
        return self("push", layout.path, reference, expected_to_fail=True)

    def pull(self, reference: str) -> Image:
        """Pull an image into a layout of its own."""
        folder = self.config / f"pulled-{next(self._numbers)}"
        self("pull", "--format", "oci", reference, folder)
        (entry,) = json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"]
        return Image(entry["digest"], Layout(folder, entry["digest"]).config())
