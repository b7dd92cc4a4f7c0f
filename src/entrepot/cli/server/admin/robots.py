"""``entrepot admin robot``: accounts of machines."""

from pathlib import Path
from typing import Any

import click

from entrepot.access import BUILT_IN_ROLES, KeyFile
from entrepot.access.administration import IssuedSecret, NewRobot
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import (
    instant,
    instant_json,
    lifetime_of,
    operator,
    pattern_of,
    registry_of,
    run,
    which_registry,
    write_secret_file,
)
from entrepot.metadata import ListedAccount

KEY_FILE = click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write name and secret to this new file for `docker login -u _json_key --password-stdin`.",
)


@click.group
def robot() -> None:
    """Look after robots, the accounts of machines."""


@robot.command("list")
@which_registry
@OUTPUT
def list_robots(*, output: str, **given: Any) -> None:
    """List robots."""

    async def work(administration: Any) -> list[ListedAccount]:
        found: list[ListedAccount] = []
        while page := await administration.robots.page(operator(), found[-1].name if found else ""):
            found += page
        return found

    robots = run(given, work)
    if output == "json":
        print_json([_document(one) for one in robots])
        return
    rows = [
        [
            one.name,
            one.project or "-",
            _state(one),
            instant(one.expires_at),
            instant(one.last_login_at),
            one.description,
        ]
        for one in robots
    ]
    print_table(["name", "project", "state", "expires", "last login", "description"], rows)


@robot.command
@click.argument("name")
@click.option(
    "--role",
    default="reader",
    show_default=True,
    metavar="ROLE",
    help=f"{', '.join(BUILT_IN_ROLES)}, or an own one.",
)
@click.option(
    "--repositories", multiple=True, metavar="PATTERN", help="Where: a name, with * and **. Can be given several times."
)
@click.option("--project", metavar="NAME", help="The project that owns it. [default: the system]")
@click.option("--expires", metavar="DURATION", help="For how long it is to exist, such as 30d. [default: for good]")
@click.option("--description", default="", help="What it is for.")
@KEY_FILE
@which_registry
@OUTPUT
def create(
    *,
    name: str,
    role: str,
    repositories: tuple[str, ...],
    project: str | None,
    expires: str | None,
    description: str,
    key_file: Path | None,
    output: str,
    **given: Any,
) -> None:
    """Make a robot, and show its secret this once."""
    patterns = tuple(map(pattern_of, repositories))
    new = NewRobot(name, role, patterns, project, description, lifetime_of(expires))
    _refuse_existing(key_file)
    _show(run(given, lambda a: a.robots.add(operator(), new)), key_file, output, given)


@robot.command
@click.argument("name")
@click.option("--overlap", default="24h", show_default=True, help="For how long the secret of now stays good.")
@KEY_FILE
@which_registry
@OUTPUT
def rotate(*, name: str, overlap: str, key_file: Path | None, output: str, **given: Any) -> None:
    """Give a robot a new secret beside the one of now, and show it this once."""
    lasting = lifetime_of(overlap)
    assert lasting is not None
    _refuse_existing(key_file)
    _show(run(given, lambda a: a.robots.rotate(operator(), name, lasting)), key_file, output, given)


@robot.command
@click.argument("name")
@which_registry
def disable(*, name: str, **given: Any) -> None:
    """Shut a robot out, at once and everywhere."""
    run(given, lambda a: a.robots.set_disabled(operator(), name, is_disabled=True))
    click.echo(f"robot {name} is disabled")


@robot.command
@click.argument("name")
@which_registry
def enable(*, name: str, **given: Any) -> None:
    """Let a robot in again."""
    run(given, lambda a: a.robots.set_disabled(operator(), name, is_disabled=False))
    click.echo(f"robot {name} is enabled")


@robot.command
@click.argument("name")
@which_registry
def delete(*, name: str, **given: Any) -> None:
    """Take a robot away, with secrets, trusts and bindings."""
    run(given, lambda a: a.robots.remove(operator(), name))
    click.echo(f"robot {name} is deleted")


@robot.group
def trust() -> None:
    """Let tokens of jobs and pods stand for a robot, without a secret."""


@trust.command("add")
@click.argument("name")
@click.option("--issuer", required=True, metavar="URL", help="Who issues the tokens; one of `workload.issuers`.")
@click.option(
    "--claim", "claims", multiple=True, required=True, metavar="NAME=PATTERN", help="What a token must say. Several."
)
@which_registry
def add_trust(*, name: str, issuer: str, claims: tuple[str, ...], **given: Any) -> None:
    """Trust tokens that say all of these claims."""
    conditions = dict(_claim(text) for text in claims)
    click.echo(run(given, lambda a: a.robots.trust(operator(), name, issuer, conditions)))


@trust.command("list")
@click.argument("name")
@which_registry
@OUTPUT
def list_trusts(*, name: str, output: str, **given: Any) -> None:
    """List whom a robot trusts."""
    found = run(given, lambda a: a.robots.trusts(operator(), name))
    if output == "json":
        print_json([{"id": one.uid, "issuer": one.issuer, "claims": one.conditions} for one in found])
        return
    rows = [[one.uid, one.issuer, " ".join(f"{c}={p}" for c, p in one.conditions.items())] for one in found]
    print_table(["id", "issuer", "claims"], rows)


@trust.command("remove")
@click.argument("name")
@click.argument("trust_id", metavar="ID")
@which_registry
def remove_trust(*, name: str, trust_id: str, **given: Any) -> None:
    """Trust these tokens no longer."""
    run(given, lambda a: a.robots.distrust(operator(), name, trust_id))
    click.echo(f"robot {name} no longer trusts {trust_id}")


def _claim(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not equals:
        raise CommandFailed(f"{text!r} is no claim: write NAME=PATTERN", ExitCode.USAGE)
    return name, pattern


def _refuse_existing(key_file: Path | None) -> None:
    """Before anything is made: a secret that could not be written would be lost."""
    if key_file is not None and key_file.exists():
        raise CommandFailed(f"{key_file}: there is such a file, which is not written over", ExitCode.USAGE)


def _show(issued: IssuedSecret, key_file: Path | None, output: str, given: dict[str, Any]) -> None:
    if key_file is not None:
        registry = registry_of(given)
        document = KeyFile(issued.name, issued.secret).render(registry, issued.created_at, issued.expires_at)
        write_secret_file(key_file, document)
    shown = None if key_file is not None else issued.secret.reveal()
    if output == "json":
        print_json({"name": issued.name, "secret": shown, "expires_at": instant_json(issued.expires_at)})
    elif shown is None:
        click.echo(f"the key of {issued.name} lies in {key_file}")
    else:
        click.echo(f"name    {issued.name}\nsecret  {shown}")
        click.echo("keep the secret now: it is not shown again", err=True)


def _state(account: ListedAccount) -> str:
    return "active" if account.disabled_at is None else "disabled"


def _document(account: ListedAccount) -> dict[str, object]:
    return {
        "id": account.uid,
        "name": account.name,
        "project": account.project,
        "state": _state(account),
        "description": account.description,
        "created_at": instant_json(account.created_at),
        "expires_at": instant_json(account.expires_at),
        "last_login_at": instant_json(account.last_login_at),
    }
