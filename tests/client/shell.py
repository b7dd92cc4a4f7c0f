"""Commands of the client as somebody runs them in a shell."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import registries

CONCERNING = ("ENTREPOT_", "DOCKER_", "REGISTRY_AUTH", "XDG_", "DBUS_", "HTTP_", "HTTPS_", "NO_PROXY")

LOGIN = {"ENTREPOT_CLIENT_USERNAME": registries.USER, "ENTREPOT_CLIENT_PASSWORD": registries.PASSWORD}


@dataclass(frozen=True)
class Shell:
    """Somebody's shell: their own files, and nothing else in the environment that concerns us."""

    home: Path

    @property
    def variables(self) -> dict[str, str]:
        """What says where the files of somebody lie."""
        return {
            "HOME": str(self.home),
            "DOCKER_CONFIG": str(self.home / "docker"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
        }

    def run(
        self,
        *arguments: str | Path,
        stdin: str = "",
        login: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """What a command says and how it ends."""
        return subprocess.run(
            self._command(arguments),
            input=stdin,
            env=self._environment(environment, login=login),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.home,
        )

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """A command under way; whoever starts it waits for its end."""
        return subprocess.Popen(
            self._command(arguments),
            env=self._environment(None, login=False),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
        )

    def _command(self, arguments: Sequence[str | Path]) -> list[str]:
        return [str(Path(sys.executable).parent / "entrepot"), *map(str, arguments)]

    def _environment(self, more: Mapping[str, str] | None, *, login: bool) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(CONCERNING)}
        return {**inherited, **(LOGIN if login else {}), **self.variables, **(more or {})}
