"""``entrepot worker``: what is queued, done without a server."""

from typing import Any

import click

from entrepot import compose
from entrepot.cli.server.given_settings import load_given, settings_flags
from entrepot.cli.server.refusals import explained
from entrepot.http import logs


@click.command
@settings_flags(("data", "database"))
def worker(**given: Any) -> None:
    """Run queued jobs until it is told to stop (SIGTERM or Ctrl-C), beside a server or without one.

    Jobs in progress are then queued again, for another worker.
    """
    settings = load_given(**given).settings
    logs.configure(logs.Logs(settings.log.level.value))
    with explained(settings):
        compose.run_worker(settings)
