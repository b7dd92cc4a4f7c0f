"""``entrepot admin project``: prefixes within which rights are given."""

from typing import Any

import click

from entrepot.access.administration import MovePlan
from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import operator, run, which_registry
from entrepot.metadata import ProjectRow


@click.group
def project() -> None:
    """Look after projects: beginnings of names, such as team/, in which rights are given."""


@project.command("list")
@which_registry
@OUTPUT
def list_projects(*, output: str, **given: Any) -> None:
    """List projects."""

    async def work(administration: Any) -> list[ProjectRow]:
        found: list[ProjectRow] = []
        while page := await administration.projects.page(operator(), found[-1].name if found else ""):
            found += page
        return found

    projects = run(given, work)
    if output == "json":
        print_json([{"id": one.uid, "name": one.name} for one in projects])
        return
    print_table(["name"], [[one.name] for one in projects])


@project.command
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.option("--plan", "plan_only", is_flag=True, help="Show which repositories it would have, and change nothing.")
@click.option("--move", is_flag=True, help="Take over the repositories that have such names by now.")
@which_registry
@OUTPUT
def create(*, name: str, description: str, plan_only: bool, move: bool, output: str, **given: Any) -> None:
    """Make a project. Bindings of the one above count in it only where they are inherited."""
    if plan_only:
        plan = run(given, lambda a: a.projects.plan(operator(), name))
    else:
        plan = run(given, lambda a: a.projects.add(operator(), name, description, move=move))
    _show(plan, output, "would move" if plan_only else "moved")


@project.command
@click.argument("name")
@which_registry
def delete(*, name: str, **given: Any) -> None:
    """Take a project away with its bindings; its repositories come back to the one above."""
    run(given, lambda a: a.projects.remove(operator(), name))
    click.echo(f"project {name} is deleted")


def _show(plan: MovePlan, output: str, verb: str) -> None:
    if output == "json":
        print_json({"parent": plan.parent, "repositories": plan.repositories, "more": plan.more})
        return
    for name in plan.repositories:
        click.echo(f"{verb} {name} from {plan.parent}")
    if plan.more:
        click.echo(f"{verb} more than these")
    if not plan.repositories:
        click.echo(f"no repository {verb}")
