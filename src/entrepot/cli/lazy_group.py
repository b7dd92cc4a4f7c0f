"""A group of commands that imports a command when it is called, not when it is listed."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is defined and what the list of commands says about it.

    ``extra`` is the part of the installation that its imports need.
    """

    module: str
    attribute: str
    summary: str
    extra: str | None = None


class LazyGroup(click.Group):
    """Shows summaries without importing anything; a command whose packages are missing says how to install them."""

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # type: ignore[explicit-override]  # typing.override is newer than Python 3.11
        """The names in the order of the table."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # type: ignore[explicit-override]  # likewise
        """Import the command; raises CommandFailed if a package of its extra is not installed."""
        found = self._lazy.get(cmd_name)
        if found is None:
            return super().get_command(ctx, cmd_name)
        try:
            command = getattr(importlib.import_module(found.module), found.attribute)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if found.extra is None or missing in {"", "entrepot"}:
                raise
            message = (
                f"{cmd_name} needs packages that are not installed ({missing}); "
                f"run: python -m pip install 'entrepot[{found.extra}]'"
            )
            raise CommandFailed(message, ExitCode.USAGE) from error
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:  # type: ignore[explicit-override]  # likewise
        """What a word may become: names from the table, so that nothing is imported."""
        names = [name for name in self._lazy if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self._lazy[name].summary) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # type: ignore[explicit-override]  # likewise
        """Write the list of commands from the table."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in self._lazy.items()])
