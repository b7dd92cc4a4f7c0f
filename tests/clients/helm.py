"""The helm command, as far as it speaks to registries."""

from dataclasses import dataclass
from pathlib import Path

from harness.programs import find_program, run_program
from harness.registry import ADMIN, LiveRegistry

HTTP = "--plain-http"


@dataclass(frozen=True)
class Helm:
    """The helm command of one person, with credentials and caches of their own; it runs in ``folder``."""

    folder: Path

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``helm ARGUMENTS`` and return what it said (see run_program)."""
        self.folder.mkdir(exist_ok=True)
        environment = {"HOME": str(self.folder)}
        environment |= {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        command = [find_program("helm"), *arguments]
        return run_program(
            command, environment=environment, stdin=stdin, cwd=self.folder, expected_to_fail=expected_to_fail
        )

    def log_in(self, registry: LiveRegistry, password: str | None = None, *, expected_to_fail: bool = False) -> str:
        """Log in as the admin, with the right password unless another is given."""
        arguments = ["registry", "login", HTTP, "--username", ADMIN, "--password-stdin", registry.address]
        return self(*arguments, stdin=password or registry.admin_password, expected_to_fail=expected_to_fail)
