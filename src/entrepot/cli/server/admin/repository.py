"""``entrepot admin repository``: looking after repositories."""

import asyncio
from typing import Any, Final

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table, size_text
from entrepot.cli.server.admin.working import operator
from entrepot.cli.server.given_settings import load_given, settings_flags
from entrepot.cli.server.refusals import explained
from entrepot.compose import opened_collection
from entrepot.lifecycle import RepositoryPlan
from entrepot.oci import NameInvalid, NameUnknown, RepositoryName
from entrepot.settings import Settings

_FLAGS: Final = ("data", "database")


@click.group
def repository() -> None:
    """Look after repositories."""


@repository.command
@click.argument("name")
@settings_flags(_FLAGS)
@click.option("--plan", "plan_only", is_flag=True, help="Show what would go and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@OUTPUT
def delete(*, name: str, plan_only: bool, yes: bool, output: str, **given: Any) -> None:
    """Delete a repository with all its tags and manifests; the space of its blobs comes back by the collection."""
    settings = load_given(**given).settings
    try:
        parsed = RepositoryName.parse(name)
    except NameInvalid as error:
        raise CommandFailed(f"{name!r} is no name of a repository: {error}", ExitCode.USAGE) from error
    plan = _plan(settings, parsed)
    if plan_only:
        _show(plan, output)
        return
    if not yes:
        _show(plan, "table", err=True)
        click.confirm("Delete it?", abort=True, err=True)
    _show(_delete(settings, parsed), output)


def _plan(settings: Settings, name: RepositoryName) -> RepositoryPlan:
    async def work() -> RepositoryPlan:
        async with opened_collection(settings) as collection:
            return await collection.delete_repository.plan(name)

    return _answer(settings, name, work)


def _delete(settings: Settings, name: RepositoryName) -> RepositoryPlan:
    async def work() -> RepositoryPlan:
        async with opened_collection(settings) as collection:
            return await collection.delete_repository(operator().actor, name)

    return _answer(settings, name, work)


def _answer(settings: Settings, name: RepositoryName, work: Any) -> RepositoryPlan:
    with explained(settings):
        try:
            found: RepositoryPlan = asyncio.run(work())
        except NameUnknown as error:
            raise CommandFailed(f"there is no repository {name.text}", ExitCode.NOT_FOUND) from error
    return found


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
