"""``entrepot admin user``: people who log in."""

from typing import Any

import click

from entrepot.access import ADMIN
from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.import_htpasswd import import_htpasswd
from entrepot.cli.server.admin.working import data_of, instant, instant_json, operator, password_of, run, which_registry
from entrepot.metadata import ListedAccount

PASSWORD_STDIN = click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")


@click.group
def user() -> None:
    """Look after users."""


@user.command("list")
@which_registry
@OUTPUT
def list_users(*, output: str, **given: Any) -> None:
    """List users."""

    async def work(administration: Any) -> list[ListedAccount]:
        found: list[ListedAccount] = []
        while page := await administration.users.page(operator(), found[-1].name if found else ""):
            found += page
        return found

    users = run(given, work)
    if output == "json":
        print_json([_document(one) for one in users])
        return
    rows = [
        [one.name, "admin" if one.is_admin else "-", one.issuer or "local", _state(one), instant(one.last_login_at)]
        for one in users
    ]
    print_table(["name", "role", "from", "state", "last login"], rows)


@user.command
@click.argument("name")
@click.option("--admin", "is_admin", is_flag=True, help="Let the user administer the registry.")
@PASSWORD_STDIN
@which_registry
def add(*, name: str, is_admin: bool, password_stdin: bool, **given: Any) -> None:
    """Make a user, who may do nothing until a binding says so."""
    password = password_of(from_stdin=password_stdin)
    run(given, lambda a: a.users.add(operator(), name, password, is_admin=is_admin))
    click.echo(f"user {name} is made")


@user.command
@click.argument("name")
@PASSWORD_STDIN
@which_registry
def passwd(*, name: str, password_stdin: bool, **given: Any) -> None:
    """Give a user another password; sessions and refresh tokens of the old one end."""
    password = password_of(from_stdin=password_stdin)
    run(given, lambda a: a.users.set_password(operator(), name, password))
    data = data_of(given)
    if name == ADMIN and data is not None:
        (data / "admin-password").unlink(missing_ok=True)
    click.echo(f"the password of {name} is changed")


@user.command
@click.argument("name")
@which_registry
def disable(*, name: str, **given: Any) -> None:
    """Shut a user out, at once and everywhere."""
    run(given, lambda a: a.users.set_disabled(operator(), name, is_disabled=True))
    click.echo(f"user {name} is disabled")


@user.command
@click.argument("name")
@which_registry
def enable(*, name: str, **given: Any) -> None:
    """Let a user in again."""
    run(given, lambda a: a.users.set_disabled(operator(), name, is_disabled=False))
    click.echo(f"user {name} is enabled")


@user.command
@click.argument("name")
@which_registry
def delete(*, name: str, **given: Any) -> None:
    """Take a user away, with tokens, memberships and bindings."""
    run(given, lambda a: a.users.remove(operator(), name))
    click.echo(f"user {name} is deleted")


user.add_command(import_htpasswd)


def _state(account: ListedAccount) -> str:
    return "active" if account.disabled_at is None else "disabled"


def _document(account: ListedAccount) -> dict[str, object]:
    return {
        "id": account.uid,
        "name": account.name,
        "admin": account.is_admin,
        "issuer": account.issuer,
        "state": _state(account),
        "created_at": instant_json(account.created_at),
        "last_login_at": instant_json(account.last_login_at),
    }
