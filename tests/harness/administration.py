"""``entrepot admin`` on the data of a registry, as an operator runs it beside the server."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from entrepot.cli.server.admin import admin


@dataclass(frozen=True)
class Administration:
    """Runs commands in this process: starting Python for each would take longer than all that they do."""

    data: Path
    database: str | None = None

    def __call__(self, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
        """What the command prints; ``code`` is how it is to end."""
        ended = CliRunner().invoke(admin, [*arguments, *self._flags], input=stdin)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            assert getattr(ended.exception, "code", None) == code, ended.exception
            return str(ended.exception)
        assert ended.exit_code == code, ended.output
        return ended.stdout

    @property
    def _flags(self) -> list[str]:
        return ["--data", str(self.data), *(() if self.database is None else ("--database", self.database))]

    def json(self, *arguments: str) -> Any:
        """The document that it prints with ``--output json``."""
        return json.loads(self(*arguments, "--output", "json"))

    def robot(self, name: str, role: str, *repositories: str, **options: str) -> str:
        """Make a robot; returns its secret."""
        patterns = [word for pattern in repositories for word in ("--repositories", pattern)]
        more = [word for option, value in options.items() for word in (f"--{option}", value)]
        return str(self.json("robot", "create", name, "--role", role, *patterns, *more)["secret"])

    def user(self, name: str, password: str) -> None:
        """Make a user without rights."""
        self("user", "add", name, "--password-stdin", stdin=password + "\n")
