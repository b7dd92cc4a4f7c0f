"""``entrepot admin binding``: who may do what, and where."""

from typing import Any

import click

from entrepot.access import BUILT_IN_ROLES
from entrepot.access.administration import BindingSubject, SubjectKind
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import instant_json, operator, pattern_of, run, which_registry
from entrepot.metadata import BindingRow


@click.group
def binding() -> None:
    """Look after bindings: who has which role on which repositories."""


@binding.command
@click.option("--user", "account", metavar="NAME", help="For this user or robot.")
@click.option("--group", metavar="NAME", help="For everyone in this group.")
@click.option("--authenticated", is_flag=True, help="For whoever has logged in.")
@click.option("--anonymous", is_flag=True, help="For everybody, without credentials too.")
@click.option(
    "--role", required=True, metavar="ROLE", help=f"What they may do: {', '.join(BUILT_IN_ROLES)}, or another."
)
@click.option("--repositories", required=True, metavar="PATTERN", help="Where: a name, with * and **.")
@click.option("--project", metavar="NAME", help="In which project. [default: the one that has such names]")
@click.option("--inherited", is_flag=True, help="Let it count in the projects beneath, too.")
@which_registry
def add(
    *,
    account: str | None,
    group: str | None,
    authenticated: bool,
    anonymous: bool,
    role: str,
    repositories: str,
    project: str | None,
    inherited: bool,
    **given: Any,
) -> None:
    """Give a role; prints the id of the binding."""
    subject = _subject(account, group, authenticated=authenticated, anonymous=anonymous)
    pattern = pattern_of(repositories)
    uid = run(
        given,
        lambda a: a.bindings.add(operator(), subject, role, pattern, project=project, inherited=inherited),
    )
    click.echo(uid)


@binding.command("list")
@click.option("--project", metavar="NAME", help="Of this project alone.")
@click.option("--user", "account", metavar="NAME", help="Of this user or robot alone.")
@which_registry
@OUTPUT
def list_bindings(*, project: str | None, account: str | None, output: str, **given: Any) -> None:
    """List bindings in the order in which they were made."""

    async def work(administration: Any) -> list[BindingRow]:
        found: list[BindingRow] = []
        while page := await administration.bindings.page(
            operator(), found[-1].id if found else 0, project=project, account=account
        ):
            found += page
        return found

    bindings = run(given, work)
    if output == "json":
        print_json([_document(one) for one in bindings])
        return
    rows = [
        [one.uid, one.subject, one.role, one.repositories, one.project, "yes" if one.inherited else "no"]
        for one in bindings
    ]
    print_table(["id", "for", "role", "repositories", "project", "inherited"], rows)


@binding.command
@click.argument("binding_id", metavar="ID")
@which_registry
def remove(*, binding_id: str, **given: Any) -> None:
    """Take a binding away; it counts no more at the next request."""
    run(given, lambda a: a.bindings.remove(operator(), binding_id))
    click.echo(f"binding {binding_id} is removed")


def _subject(account: str | None, group: str | None, *, authenticated: bool, anonymous: bool) -> BindingSubject:
    chosen = [
        *([BindingSubject(SubjectKind.ACCOUNT, account)] if account else []),
        *([BindingSubject(SubjectKind.GROUP, group)] if group else []),
        *([BindingSubject(SubjectKind.AUTHENTICATED)] if authenticated else []),
        *([BindingSubject(SubjectKind.ANONYMOUS)] if anonymous else []),
    ]
    if len(chosen) != 1:
        raise CommandFailed("say for whom: one of --user, --group, --authenticated, --anonymous", ExitCode.USAGE)
    return chosen[0]


def _document(row: BindingRow) -> dict[str, object]:
    return {
        "id": row.uid,
        "for": row.subject,
        "role": row.role,
        "repositories": row.repositories,
        "project": row.project,
        "inherited": row.inherited,
        "created_at": instant_json(row.created_at),
        "created_by": row.created_by,
    }
