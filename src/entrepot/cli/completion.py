"""`entrepot completion`: what a shell has to read to complete commands and flags."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed

VARIABLE: Final = "_ENTREPOT_COMPLETE"
"""Shells call ``entrepot`` with this variable when somebody presses the tabulator key."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print what makes a shell complete commands and flags.

    For bash, in ~/.bashrc: eval "$(entrepot completion bash)". For zsh, in ~/.zshrc: eval "$(entrepot completion zsh)".
    For fish: entrepot completion fish > ~/.config/fish/completions/entrepot.fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    try:
        click.echo(found(context.find_root().command, {}, "entrepot", VARIABLE).source())
    except RuntimeError as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from error
