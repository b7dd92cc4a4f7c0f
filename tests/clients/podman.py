"""podman and buildah, which share their images, their options and where they look for credentials."""

from dataclasses import dataclass
from pathlib import Path

from clients.contract import Image
from clients.image import Layout
from clients.sandbox import Sandbox
from harness.programs import find_program
from harness.registry import ADMIN, LiveRegistry

HTTP = "--tls-verify=false"


@dataclass(frozen=True)
class Podman:
    """The command `podman`, or `buildah`, of one person, with credentials of their own; images lie in the sandbox."""

    sandbox: Sandbox
    folder: Path
    program: str = "podman"

    def __post_init__(self) -> None:
        self.folder.mkdir()
        # A file that is named has to be there.
        (self.folder / "auth.json").write_text("{}", encoding="utf-8")

    def __call__(self, *arguments: str | Path, stdin: str = "", expected_to_fail: bool = False) -> str:
        """Run ``podman ARGUMENTS`` and return what it said (see run_program)."""
        environment = {"REGISTRY_AUTH_FILE": str(self.folder / "auth.json"), "HOME": str(self.folder)}
        command = [find_program(self.program), *arguments]
        return self.sandbox.run(*command, environment=environment, stdin=stdin, expected_to_fail=expected_to_fail)

    def log_in(
        self, registry: LiveRegistry, password: str | None = None, *, name: str = ADMIN, expected_to_fail: bool = False
    ) -> str:
        """Log in, as the admin with the right password unless others are given."""
        arguments = ["login", HTTP, "--username", name, "--password-stdin", registry.address]
        return self(*arguments, stdin=password or registry.admin_password, expected_to_fail=expected_to_fail)

    def load(self, layout: Layout) -> str:
        """Let the storage have an image, and return its id."""
        return self("pull", "--quiet", layout.reference()).strip()

    def push(self, layout: Layout, reference: str, *options: str) -> Image:
        """Push an image from a storage that then forgets it."""
        image = self.load(layout)
        digest_file = self.folder / "digest"
        try:
            self("push", HTTP, "--digestfile", digest_file, *options, image, f"docker://{reference}")
        finally:
            self.forget(image)
        return Image(digest_file.read_text(encoding="utf-8").strip(), f"sha256:{image}")

    def push_in_vain(self, layout: Layout, reference: str) -> str:
        """Push an image where that is refused."""
        image = self.load(layout)
        try:
            return self("push", HTTP, image, f"docker://{reference}", expected_to_fail=True)
        finally:
            self.forget(image)

    def pull(self, reference: str) -> Image:
        """Pull an image of which the storage has nothing."""
        image = self("pull", "--quiet", HTTP, reference).strip()
        try:
            return Image(self.digest_of(image), f"sha256:{image}")
        finally:
            self.forget(image)

    def digest_of(self, image: str) -> str:
        """The digest of the manifest that an image came with."""
        if self.program == "buildah":
            return self("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", image).strip()
        return self("image", "inspect", "--format", "{{.Digest}}", image).strip()

    def forget(self, image: str) -> None:
        """Remove an image with its layers."""
        self("rmi", "--force", image)
