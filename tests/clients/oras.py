"""The oras command: artifacts, what refers to them, blobs and manifests alone."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from harness.plain_logins import keep_logins_in
from harness.programs import find_program, run_program
from harness.registry import ADMIN, LiveRegistry

HTTP = "--plain-http"


@dataclass(frozen=True)
class Oras:
    """The oras command of one person, with credentials of their own; it runs in ``folder``."""

    folder: Path

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``oras ARGUMENTS`` and return what it said (see run_program)."""
        keep_logins_in(self.folder / "config.json")
        command = [find_program("oras"), *arguments]
        environment = {"DOCKER_CONFIG": str(self.folder)}
        return run_program(
            command, environment=environment, stdin=stdin, cwd=self.folder, expected_to_fail=expected_to_fail
        )

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in, as the admin with the right password unless others are given."""
        arguments = ["login", HTTP, "--username", name, "--password-stdin", registry.address]
        return self(*arguments, stdin=password or registry.admin_password, expected_to_fail=expected_to_fail)

    def bring(self, reference: str) -> str:
        """Push a file; returns its text."""
        text = secrets.token_hex(8)
        self._push(text, reference)
        return text

    def bring_in_vain(self, reference: str) -> str:
        """Push a file where that is refused."""
        return self._push(secrets.token_hex(8), reference, expected_to_fail=True)

    def fetch(self, reference: str) -> str:
        """Pull the file; returns its text."""
        self("pull", HTTP, "--output", "fetched", reference)
        return (self.folder / "fetched" / "brought").read_text(encoding="utf-8")

    def _push(self, text: str, reference: str, *, expected_to_fail: bool = False) -> str:
        (self.folder / "brought").write_text(text, encoding="utf-8")
        return self("push", HTTP, reference, "brought:text/plain", expected_to_fail=expected_to_fail)
