"""The helm command, as far as it speaks to registries."""

from dataclasses import dataclass
from pathlib import Path

from harness.plain_logins import keep_logins_in
from harness.programs import find_program, run_program
from harness.registry import ADMIN, LiveRegistry

HTTP = "--plain-http"


@dataclass(frozen=True)
class Helm:
    """The helm command of one person, with credentials and caches of their own; it runs in ``folder``."""

    folder: Path

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``helm ARGUMENTS`` and return what it said (see run_program)."""
        keep_logins_in(self.folder / "CONFIG" / "registry" / "config.json")
        environment = {"HOME": str(self.folder)}
        environment |= {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        command = [find_program("helm"), *arguments]
        return run_program(
            command, environment=environment, stdin=stdin, cwd=self.folder, expected_to_fail=expected_to_fail
        )

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in, as the admin with the right password unless others are given."""
        arguments = ["registry", "login", HTTP, "--username", name, "--password-stdin", registry.address]
        return self(*arguments, stdin=password or registry.admin_password, expected_to_fail=expected_to_fail)

    def bring(self, reference: str) -> bytes:
        """Push a chart that is named and versioned as the reference is; returns its archive."""
        return self._push(reference)[0]

    def bring_in_vain(self, reference: str) -> str:
        """Push such a chart where that is refused."""
        return self._push(reference, expected_to_fail=True)[1]

    def fetch(self, reference: str) -> bytes:
        """Pull the chart; returns its archive."""
        address, _, version = reference.rpartition(":")
        (self.folder / "fetched").mkdir(exist_ok=True)
        self("pull", HTTP, f"oci://{address}", "--version", version, "--destination", "fetched")
        return (self.folder / "fetched" / f"{address.rpartition('/')[2]}-{version}.tgz").read_bytes()

    def _push(self, reference: str, *, expected_to_fail: bool = False) -> tuple[bytes, str]:
        address, _, version = reference.rpartition(":")
        parent, _, chart = address.rpartition("/")
        self("create", chart)
        self("package", "--version", version, chart)
        archive = self.folder / f"{chart}-{version}.tgz"
        return archive.read_bytes(), self("push", HTTP, archive, f"oci://{parent}", expected_to_fail=expected_to_fail)
