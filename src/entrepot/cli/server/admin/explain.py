"""``entrepot admin explain``: why somebody may do something, or may not."""

from typing import Any, Final

import click

from entrepot.access import Action, Decision, Ground, Resource
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json
from entrepot.cli.server.admin.working import operator, run, which_registry
from entrepot.oci import NameInvalid, RepositoryName

_WORDS: Final = {
    Ground.ADMIN: "is an administrator",
    Ground.SETTING: "the setting `anonymous` gives it to everybody",
    Ground.NOT_APPLICABLE: "there is no such action here",
    Ground.NO_BINDING: "no binding gives it",
}


@click.command
@click.argument("subject")
@click.argument("action", type=click.Choice([action.value for action in Action]))
@click.argument("repository")
@which_registry
@OUTPUT
def explain(*, subject: str, action: str, repository: str, output: str, **given: Any) -> None:
    """Say whether SUBJECT (an account's name, or anonymous) may do ACTION on REPOSITORY, and why.

    Leaves with 5 where it may not.
    """
    resource = Resource.repository(_name(repository))
    decision = run(given, lambda a: a.explain(operator(), subject, Action(action), resource))
    reason = "the account is disabled or over" if decision is None else _reason(decision)
    allowed = decision is not None and decision.is_allowed
    if output == "json":
        binding = None if decision is None or decision.binding is None else decision.binding.uid
        print_json({"allowed": allowed, "reason": reason, "binding": binding})
    else:
        click.echo(f"{'yes' if allowed else 'no'}: {reason}")
    if not allowed:
        raise click.exceptions.Exit(ExitCode.FORBIDDEN)


def _name(repository: str) -> RepositoryName:
    try:
        return RepositoryName.parse(repository)
    except NameInvalid as error:
        raise CommandFailed(f"{repository!r} is no name of a repository: {error}", ExitCode.USAGE) from error


def _reason(decision: Decision) -> str:
    found = decision.binding
    if found is None:
        return _WORDS[decision.ground]
    project = f"the project {found.project}" + (", inherited" if found.inherited else "")
    return f"{found.subject} is {found.role} on {found.repositories} in {project} ({found.uid})"
