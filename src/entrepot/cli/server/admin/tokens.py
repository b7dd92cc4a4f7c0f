"""``entrepot admin token``: personal tokens of users."""

import json
from typing import Any

import click

from entrepot.access import Limit, limit_of
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.output import OUTPUT, print_json, print_table
from entrepot.cli.server.admin.working import instant, instant_json, lifetime_of, operator, run, which_registry, words
from entrepot.metadata import ListedCredential
from entrepot.oci import RequestInvalid


@click.group
def token() -> None:
    """Look after personal tokens, which stand for a user's password."""


@token.command
@click.argument("user")
@click.option("--name", required=True, help="What it is for.")
@click.option("--expires", metavar="DURATION", default="90d", show_default=True, help="For how long; `never` for good.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="PATTERN:ACTIONS",
    help="Narrow it, as in team/**:pull,push (pull, push, move, delete). Several. [default: all rights of the user]",
)
@which_registry
@OUTPUT
def create(*, user: str, name: str, expires: str, scopes: tuple[str, ...], output: str, **given: Any) -> None:
    """Make a token, and show it this once."""
    lifetime = None if expires == "never" else lifetime_of(expires)
    limits = [_limit(text) for text in scopes]
    issued = run(given, lambda a: a.tokens.add(operator(), user, name, lifetime, limits))
    if output == "json":
        secret, expires_at = issued.secret.reveal(), instant_json(issued.expires_at)
        print_json({"user": issued.name, "token": secret, "expires_at": expires_at})
        return
    click.echo(issued.secret.reveal())
    click.echo("keep the token now: it is not shown again", err=True)


@token.command("list")
@click.argument("user")
@which_registry
@OUTPUT
def list_tokens(*, user: str, output: str, **given: Any) -> None:
    """List a user's tokens, newest first."""
    tokens = run(given, lambda a: a.tokens.page(operator(), user))
    if output == "json":
        print_json([_document(one) for one in tokens])
        return
    rows = [[one.uid, one.name, _state(one), instant(one.expires_at), instant(one.last_used_at)] for one in tokens]
    print_table(["id", "name", "state", "expires", "last used"], rows)


@token.command
@click.argument("token_id", metavar="ID")
@which_registry
def revoke(*, token_id: str, **given: Any) -> None:
    """End a token, at once and everywhere."""
    run(given, lambda a: a.tokens.revoke(operator(), token_id))
    click.echo(f"token {token_id} is revoked")


def _limit(text: str) -> Limit:
    pattern, colon, actions = text.rpartition(":")
    if not colon:
        raise CommandFailed(f"{text!r} is no scope: write PATTERN:ACTIONS", ExitCode.USAGE)
    try:
        return limit_of(actions.split(","), pattern)
    except RequestInvalid as error:
        raise CommandFailed(f"{text!r}: {words(error)}", ExitCode.USAGE) from error


def _state(credential: ListedCredential) -> str:
    return "active" if credential.revoked_at is None else "revoked"


def _document(credential: ListedCredential) -> dict[str, object]:
    return {
        "id": credential.uid,
        "name": credential.name,
        "state": _state(credential),
        "scopes": None if credential.scopes is None else json.loads(credential.scopes),
        "created_at": instant_json(credential.created_at),
        "expires_at": instant_json(credential.expires_at),
        "last_used_at": instant_json(credential.last_used_at),
    }
