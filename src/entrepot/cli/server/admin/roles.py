"""``entrepot admin role``: names for sets of actions."""

from typing import Any

import click

from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import operator, run, which_registry


@click.group
def role() -> None:
    """Look after roles beside the built-in ones."""


@role.command("list")
@which_registry
@OUTPUT
def list_roles(*, output: str, **given: Any) -> None:
    """List roles: the built-in ones, each with the rights of those before it, then others."""
    found = run(given, lambda a: a.roles.all(operator()))
    if output == "json":
        print_json([{"name": one.name, "actions": sorted(one.actions), "built_in": one.is_built_in} for one in found])
        return
    rows = [[one.name, " ".join(sorted(one.actions)), "yes" if one.is_built_in else "no"] for one in found]
    print_table(["name", "actions", "built in"], rows)


@role.command
@click.argument("name")
@click.option("--action", "actions", multiple=True, required=True, metavar="ACTION", help="What it gives. Several.")
@which_registry
def create(*, name: str, actions: tuple[str, ...], **given: Any) -> None:
    """Make a role of actions that the built-in ones have, too."""
    run(given, lambda a: a.roles.add(operator(), name, actions))
    click.echo(f"role {name} is made")


@role.command
@click.argument("name")
@which_registry
def delete(*, name: str, **given: Any) -> None:
    """Take a role away that no binding gives to anybody."""
    run(given, lambda a: a.roles.remove(operator(), name))
    click.echo(f"role {name} is deleted")
