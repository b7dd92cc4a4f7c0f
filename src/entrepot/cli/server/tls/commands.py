"""The group of the commands about TLS."""

import click

from entrepot.cli.server.tls.check import check
from entrepot.cli.server.tls.init import init


@click.group
def tls() -> None:
    """Make certificates for the server, and see what is wrong with one."""


tls.add_command(init)
tls.add_command(check)
