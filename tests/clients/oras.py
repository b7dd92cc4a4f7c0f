"""The oras command: artifacts, what refers to them, blobs and manifests alone."""

from dataclasses import dataclass
from pathlib import Path

from harness.programs import find_program, run_program
from harness.registry import ADMIN, LiveRegistry

HTTP = "--plain-http"


@dataclass(frozen=True)
class Oras:
    """The oras command of one person, with credentials of their own; it runs in ``folder``."""

    folder: Path

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``oras ARGUMENTS`` and return what it said (see run_program)."""
        self.folder.mkdir(exist_ok=True)
        command = [find_program("oras"), *arguments]
        environment = {"DOCKER_CONFIG": str(self.folder)}
        return run_program(
            command, environment=environment, stdin=stdin, cwd=self.folder, expected_to_fail=expected_to_fail
        )

    def log_in(self, registry: LiveRegistry, password: str | None = None, *, expected_to_fail: bool = False) -> str:
        """Log in as the admin, with the right password unless another is given."""
        arguments = ["login", HTTP, "--username", ADMIN, "--password-stdin", registry.address]
        return self(*arguments, stdin=password or registry.admin_password, expected_to_fail=expected_to_fail)
