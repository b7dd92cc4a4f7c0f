"""``entrepot db``: the database's schema, beside a running server or without one."""

from typing import Any, Final

import click

from entrepot import metadata
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.server.directories import make_directories
from entrepot.cli.server.given_settings import load_given, settings_flags
from entrepot.cli.server.refusals import explained

_FLAGS: Final = ("data", "database")


@click.group
def db() -> None:
    """Upgrade and check the server's database."""


@db.command
@settings_flags(_FLAGS)
def upgrade(**given: Any) -> None:
    """Bring the schema up to date; nothing happens if it is."""
    loaded = load_given(**given)
    make_directories(loaded)
    url = loaded.settings.database.reveal()
    with explained(loaded.settings):
        metadata.upgrade(url)
        revision = metadata.current(url)
    click.echo(f"the database is at revision {revision}")


@db.command
@settings_flags(_FLAGS)
def current(**given: Any) -> None:
    """Print the schema's revision, or none."""
    loaded = load_given(**given)
    with explained(loaded.settings):
        revision = metadata.current(loaded.settings.database.reveal())
    click.echo(revision or "none")


@db.command
@settings_flags(_FLAGS)
def check(**given: Any) -> None:
    """Say whether schema and rows are sound; exit code 1 if not. Reads all of an SQLite database."""
    loaded = load_given(**given)
    with explained(loaded.settings):
        problems = metadata.check(loaded.settings.database.reveal())
    if problems:
        raise CommandFailed("\n".join(f"database: {problem}" for problem in problems), ExitCode.OTHER)
    click.echo("the database is in order")
