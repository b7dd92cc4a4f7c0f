"""``entrepot admin repository``: looking after repositories."""

from typing import Any, Final

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table, size_text
from entrepot.cli.server.admin.working import instant, instant_json, operator, run, which_registry
from entrepot.lifecycle import RepositoryPlan
from entrepot.metadata import RepositoryRow
from entrepot.oci import NameInvalid, RepositoryName

_PAGE: Final = 1000


@click.group
def repository() -> None:
    """Look after repositories."""


@repository.command("list")
@click.option("--prefix", default="", metavar="TEXT", help="Only those whose names begin so.")
@which_registry
@OUTPUT
def list_repositories(*, prefix: str, output: str, **given: Any) -> None:
    """List repositories."""

    async def work(administration: Any) -> list[RepositoryRow]:
        found: list[RepositoryRow] = []
        seen: str | None = ""
        while seen is not None:
            page = await administration.repositories.page(operator(), prefix, seen, _PAGE)
            found, seen = found + page.repositories, page.seen
        return found

    found = run(given, work)
    if output == "json":
        print_json([_document(one) for one in found])
        return
    print_table(["name", "project", "made"], [[one.name, one.project, instant(one.created_at)] for one in found])


@repository.command
@click.argument("name")
@click.argument("new_name")
@which_registry
def rename(*, name: str, new_name: str, **given: Any) -> None:
    """Give a repository another name, also one in another project; tags and manifests go with it."""
    was, new = _parsed(name), _parsed(new_name)
    row = run(given, lambda a: a.repositories.rename(operator(), was, new))
    click.echo(f"{name} is called {row.name}, in the project {row.project}")


@repository.command
@click.argument("name")
@which_registry
@click.option("--plan", "plan_only", is_flag=True, help="Show what would go and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@OUTPUT
def delete(*, name: str, plan_only: bool, yes: bool, output: str, **given: Any) -> None:
    """Delete a repository with all its tags and manifests; the space of its blobs comes back by the collection."""
    parsed = _parsed(name)
    plan = run(given, lambda a: a.repositories.plan_deletion(operator(), parsed))
    if plan_only:
        _show(plan, output)
        return
    if not yes:
        _show(plan, "table", err=True)
        click.confirm("Delete it?", abort=True, err=True)
    _show(run(given, lambda a: a.repositories.delete(operator(), parsed)), output)


def _parsed(name: str) -> RepositoryName:
    try:
        return RepositoryName.parse(name)
    except NameInvalid as error:
        raise CommandFailed(f"{name!r} is no name of a repository: {error}", ExitCode.USAGE) from error


def _document(row: RepositoryRow) -> dict[str, object]:
    return {
        "name": row.name,
        "project": row.project,
        "kind": row.kind,
        "created_at": instant_json(row.created_at),
        "created_by": row.created_by,
    }


def _show(plan: RepositoryPlan, output: str, *, err: bool = False) -> None:
    content = plan.content
    if output == "json":
        print_json(
            {
                "repository": plan.name.text,
                "state": content.state,
                "tags": content.tags,
                "manifests": content.manifests,
                "blobs": content.blobs,
                "size": content.size,
                "own_size": content.own_size,
            }
        )
        return
    print_table(
        ["repository", "tags", "manifests", "blobs", "size", "only here"],
        [
            [
                plan.name.text,
                str(content.tags),
                str(content.manifests),
                str(content.blobs),
                size_text(content.size),
                size_text(content.own_size),
            ]
        ],
        err=err,
    )
