"""How a command ends when it cannot do what it was asked for: lines for people, a code for scripts."""

import click

from entrepot.cli.exit_codes import ExitCode


class CommandFailed(Exception):
    """The command ends with these lines on stderr and this exit code; says what to do where it can be known."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def show(self) -> None:
        """Write each line of the message to stderr with the program's name before it."""
        for line in self.message.splitlines():
            click.echo(f"entrepot: {line}", err=True)
