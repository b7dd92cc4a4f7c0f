"""The group of all commands of administration."""

import click

from entrepot.cli.server.admin.audit import audit
from entrepot.cli.server.admin.bindings import binding
from entrepot.cli.server.admin.explain import explain
from entrepot.cli.server.admin.groups import group
from entrepot.cli.server.admin.projects import project
from entrepot.cli.server.admin.repository import repository
from entrepot.cli.server.admin.robots import robot
from entrepot.cli.server.admin.roles import role
from entrepot.cli.server.admin.tokens import token
from entrepot.cli.server.admin.users import user


@click.group
def admin() -> None:
    """Administer the registry: who may do what, and its content.

    The commands work on the data itself, so whoever may read and write that needs no password here; or with --server
    on a registry elsewhere, with the rights of whoever logs in there.
    """


for _command in (user, group, robot, token, project, role, binding, explain, repository, audit):
    admin.add_command(_command)
