"""The command ``entrepot``: its sub-commands, and how every one of them ends."""

import os
import sys
import traceback
from typing import Final, NoReturn

import click
from click.shell_completion import shell_complete

from entrepot.cli.completion import VARIABLE
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.lazy_group import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "login": LazyCommand("entrepot.cli.image.login", "login", "Log in to a registry."),
    "logout": LazyCommand("entrepot.cli.image.login", "logout", "Forget the login of a registry."),
    "whoami": LazyCommand("entrepot.cli.image.login", "whoami", "Say who a registry takes you for."),
    "push": LazyCommand("entrepot.cli.image.moving", "push", "Send an image to a registry."),
    "pull": LazyCommand("entrepot.cli.image.moving", "pull", "Fetch an image from a registry."),
    "copy": LazyCommand("entrepot.cli.image.moving", "copy", "Copy an image from one place to another."),
    "tags": LazyCommand("entrepot.cli.image.naming", "tags", "List the tags of a repository."),
    "tag": LazyCommand("entrepot.cli.image.naming", "tag", "Give an image more tags."),
    "untag": LazyCommand("entrepot.cli.image.naming", "untag", "Take a tag away, and nothing else."),
    "delete": LazyCommand("entrepot.cli.image.naming", "delete", "Delete an image from a registry."),
    "digest": LazyCommand("entrepot.cli.image.looking", "digest", "Print the digest of an image."),
    "inspect": LazyCommand("entrepot.cli.image.inspecting", "inspect", "Show what an image is and is made of."),
    "manifest": LazyCommand("entrepot.cli.image.looking", "manifest", "Print a manifest as it was pushed."),
    "origins": LazyCommand("entrepot.cli.image.origins", "origins", "Say how a registry is reached, and who says so."),
    "catalog": LazyCommand("entrepot.cli.image.looking", "catalog", "List the repositories of a registry."),
    "completion": LazyCommand("entrepot.cli.completion", "completion", "Print what makes a shell complete commands."),
    "serve": LazyCommand("entrepot.cli.server.serve", "serve", "Run the registry.", "server"),
    "settings": LazyCommand(
        "entrepot.cli.server.settings", "settings", "Show and check the server's settings.", "server"
    ),
    "gc": LazyCommand("entrepot.cli.server.gc", "gc", "Watch and run the collection of unused content.", "server"),
    "admin": LazyCommand("entrepot.cli.server.admin", "admin", "Administer the registry's content.", "server"),
    "tls": LazyCommand("entrepot.cli.server.tls", "tls", "Make and check the server's certificates.", "server"),
    "worker": LazyCommand("entrepot.cli.server.worker", "worker", "Run queued jobs without a server.", "server"),
    "jobs": LazyCommand("entrepot.cli.server.jobs", "jobs", "Show, start and cancel jobs.", "server"),
    "db": LazyCommand("entrepot.cli.server.db", "db", "Upgrade and check the server's database.", "server"),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A container registry and its client.",
)
@click.version_option(package_name="entrepot", prog_name="entrepot", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show where an unexpected error happened.")
@click.pass_context
def entrepot(context: click.Context, *, debug: bool) -> None:
    """Take what all commands have in common."""
    context.obj = debug


def main() -> NoReturn:
    """Run the command line and leave with a code of ExitCode; nobody sees a traceback who did not ask for one."""
    debug = False
    if VARIABLE in os.environ:
        # A shell asks for what could stand here.
        sys.exit(shell_complete(entrepot, {}, "entrepot", VARIABLE, os.environ[VARIABLE]))
    try:
        with entrepot.make_context("entrepot", sys.argv[1:]) as context:
            debug = bool(context.params.get("debug"))
            entrepot.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except CommandFailed as failure:
        failure.show()
        if debug and failure.__cause__ is not None:
            traceback.print_exception(failure.__cause__)
        sys.exit(failure.code)
    except click.ClickException as failure:
        failure.show()
        sys.exit(failure.exit_code)
    except (KeyboardInterrupt, EOFError, click.Abort):
        click.echo("entrepot: stopped", err=True)
        sys.exit(ExitCode.OTHER)
    except BrokenPipeError:
        # Whoever read our output went away; what Python still holds of it has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OTHER)
    except Exception as error:  # ruff: ignore[blind-except]  the last resort before a traceback
        if debug:
            traceback.print_exc()
        else:
            summary = " ".join(str(error).split())
            click.echo(f"entrepot: unexpected {type(error).__name__}: {summary}", err=True)
            click.echo("entrepot: run `entrepot --debug …` with the same arguments for the trace", err=True)
        sys.exit(ExitCode.OTHER)
    sys.exit(ExitCode.OK)
