"""``entrepot admin group``: many accounts at once."""

from typing import Any

import click

from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import operator, run, which_registry
from entrepot.metadata import GroupRow


@click.group
def group() -> None:
    """Look after groups, by which many accounts are bound at once."""


@group.command("list")
@which_registry
@OUTPUT
def list_groups(*, output: str, **given: Any) -> None:
    """List groups."""

    async def work(administration: Any) -> list[GroupRow]:
        found: list[GroupRow] = []
        while page := await administration.groups.page(operator(), found[-1].name if found else ""):
            found += page
        return found

    groups = run(given, work)
    if output == "json":
        print_json([{"id": one.uid, "name": one.name, "members": one.members} for one in groups])
        return
    print_table(["name", "members"], [[one.name, str(one.members)] for one in groups])


@group.command
@click.argument("name")
@which_registry
@OUTPUT
def members(*, name: str, output: str, **given: Any) -> None:
    """List who is in a group, and whether by a login or for good."""

    async def work(administration: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while page := await administration.groups.members(operator(), name, found[-1][0] if found else ""):
            found += page
        return found

    found = run(given, work)
    if output == "json":
        print_json([{"name": account, "source": source} for account, source in found])
        return
    print_table(["name", "by"], [list(row) for row in found])


@group.command
@click.argument("name")
@which_registry
def create(*, name: str, **given: Any) -> None:
    """Make a group; logins by a provider fill the one that has the name used there."""
    run(given, lambda a: a.groups.add(operator(), name))
    click.echo(f"group {name} is made")


@group.command
@click.argument("name")
@which_registry
def delete(*, name: str, **given: Any) -> None:
    """Take a group away with its bindings."""
    run(given, lambda a: a.groups.remove(operator(), name))
    click.echo(f"group {name} is deleted")


@group.command
@click.argument("name")
@click.argument("account")
@which_registry
def add(*, name: str, account: str, **given: Any) -> None:
    """Put a user or robot into a group, where no login takes it out."""
    run(given, lambda a: a.groups.add_member(operator(), name, account))
    click.echo(f"{account} is in {name}")


@group.command
@click.argument("name")
@click.argument("account")
@which_registry
def remove(*, name: str, account: str, **given: Any) -> None:
    """Take a user or robot out of a group."""
    run(given, lambda a: a.groups.remove_member(operator(), name, account))
    click.echo(f"{account} is not in {name}")
