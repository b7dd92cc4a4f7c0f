"""`entrepot login`, `logout` and `whoami`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.image.options import OUTPUT, Connection, connected
from entrepot.cli.image.refusals import failure_of
from entrepot.cli.image.working import credential_sources, given_credentials, run_async, run_with
from entrepot.cli.output import print_json
from entrepot.client.errors import ClientError
from entrepot.client.references import ImageReference, parse_registry
from entrepot.secrets import Secret

if TYPE_CHECKING:
    from entrepot.client.client import Client
    from entrepot.client.credentials import AnyCredentials
    from entrepot.client.logins import Keeping, Kept
    from entrepot.client.logins.device import DeviceCode
    from entrepot.client.transport.proving import Proven

_KEY_BYTES_AT_MOST: Final = 64 * 1024
_KEY_USER: Final = "_json_key"

_STORE: Final = click.option(
    "--store", metavar="NAME", help="Let docker-credential-NAME keep it, and tell docker and podman so."
)


@click.command()
@click.argument("registry", metavar="HOST")
@click.option(
    "--json-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Log in with a key file, such as a robot's.",
)
@click.option("--sso", is_flag=True, help="Log in through a browser, also on another machine, where that is offered.")
@_STORE
@click.option("--allow-plaintext", is_flag=True, help="Keep it in the file, where nothing else can keep it.")
@connected
@OUTPUT
def login(
    *,
    registry: str,
    json_key: Path | None,
    sso: bool,
    store: str | None,
    allow_plaintext: bool,
    connection: Connection,
    output: str,
) -> None:
    """Log in to a registry, and keep the login for this client, docker, podman and all that read their files.

    The registry is asked first; nothing is kept that it does not accept. A password comes from standard input, from
    ENTREPOT_CLIENT_USERNAME and ENTREPOT_CLIENT_PASSWORD, or is typed in, and is never an argument. Where the registry
    gives a token in place of a password, that is kept. It is kept by the program that docker's config.json names
    (credsStore, credHelpers), by the keyring of this machine, or with --allow-plaintext in the file.
    """
    host = _host(registry)
    keeping = _keeping(connection, store, is_plain_allowed=allow_plaintext)

    async def work(client: "Client") -> "tuple[Proven, Kept]":
        given = await client.log_in_by_device(host, _show) if sso else _credentials(connection, json_key)
        proven = await client.log_in(host, given)
        return proven, await keeping.keep(host, proven.credentials)

    proven, kept = run_with(work, connection, ())
    if not proven.is_asked:
        click.echo(f"entrepot: {host} lets in everybody: whether it knows this login it does not say", err=True)
    if kept.is_plain:
        click.echo(f"entrepot: {kept.where} has it in a form that whoever reads the file can read", err=True)
    if output == "json":
        print_json({"registry": host, "username": proven.username, "keptIn": kept.where, "plaintext": kept.is_plain})
        return
    click.echo(f"logged in to {host}{_as(proven.username)}; kept in {kept.where}")


@click.command()
@click.argument("registry", metavar="HOST", required=False)
@click.option("--all", "everywhere", is_flag=True, help="Forget the logins of all registries.")
@connected
def logout(*, registry: str | None, everywhere: bool, connection: Connection) -> None:
    """Forget the login of a registry, in the file and in the program that keeps it."""
    if (registry is None) != everywhere:
        raise CommandFailed("which registry? write HOST, or --all", ExitCode.USAGE)
    keeping = _keeping(connection, None)
    hosts = keeping.hosts() if registry is None else [_host(registry)]
    removed = run_async(_forgotten(keeping, hosts))
    for host, places in removed.items():
        told = ", ".join(places) or "nothing was kept"
        click.echo(f"{host}: {'removed from ' if places else ''}{told}")
    if registry is not None:
        _tell_what_is_left(hosts[0], connection)


@click.command()
@click.argument("place", metavar="HOST[/NAME]")
@connected
@OUTPUT
def whoami(*, place: str, connection: Connection, output: str) -> None:
    """Say who a registry takes you for, and where these credentials were found.

    With HOST/NAME also what they allow in that repository, where the registry says so.
    """
    host, repository = _place(place)
    sources = credential_sources(connection, frozenset({host}))

    async def work(client: "Client") -> "tuple[AnyCredentials | None, Proven]":
        from entrepot.client.credentials import Anonymous, FirstCredentials  # ruff: ignore[import-outside-top-level]

        found = await FirstCredentials(sources).find(host, repository)
        return found, await client.log_in(host, found or Anonymous(), repository)

    found, proven = run_with(work, connection, sources)
    _print_identity(host, found, proven, output)


def _print_identity(host: str, found: "AnyCredentials | None", proven: "Proven", output: str) -> None:
    found_in = found.found_in if found is not None else ""
    actions = None if proven.actions is None else sorted(proven.actions)
    who = proven.username or ("nobody" if found is None else None)
    if output == "json":
        document: dict[str, Any] = {"registry": host, "username": proven.username, "foundIn": found_in or None}
        print_json({**document, "accepted": proven.is_asked, "actions": actions})
        return
    click.echo(f"{who or 'somebody with a token'} at {host}" + (f", by {found_in}" if found_in else ""))
    if not proven.is_asked:
        click.echo(f"entrepot: {host} lets in everybody: whether it knows these credentials it does not say", err=True)
    if actions is not None:
        click.echo(f"may: {', '.join(actions) or 'nothing'}")


async def _forgotten(keeping: "Keeping", hosts: list[str]) -> dict[str, list[str]]:
    return {host: await keeping.forget(host) for host in hosts}


def _tell_what_is_left(host: str, connection: Connection) -> None:
    """Where else a login of the registry is found, which is not ours to remove."""
    from entrepot.client.logins import AuthPlaces, StoredCredentials  # ruff: ignore[import-outside-top-level]

    found = run_async(StoredCredentials(AuthPlaces.of(authfile=connection.authfile)).find(host, ""))
    if found is not None:
        click.echo(f"entrepot: there is still a login for {host}: {found.found_in}", err=True)


def _credentials(connection: Connection, json_key: Path | None) -> "AnyCredentials":
    from entrepot.client.credentials import Credentials, IdentityToken, RegistryToken  # ruff: ignore[import-outside-top-level]

    if json_key is not None:
        with json_key.open("rb") as file:
            content = file.read(_KEY_BYTES_AT_MOST + 1)
        if len(content) > _KEY_BYTES_AT_MOST:
            raise CommandFailed(f"{json_key}: a key has at most {_KEY_BYTES_AT_MOST} bytes", ExitCode.USAGE)
        return Credentials(_KEY_USER, Secret(content.decode("utf-8", "replace").removesuffix("\n")), str(json_key))
    found = given_credentials(connection, is_asking=True)
    if isinstance(found, RegistryToken):
        # What is typed in or piped into a login is a token to get tokens with; an access token is over in minutes.
        return IdentityToken(found.token, found.found_in)
    if found is None:
        message = (
            "there is nothing to log in with\n"
            "next: --username NAME --password-stdin, --token-stdin, --json-key FILE, --sso, or a terminal to type at"
        )
        raise CommandFailed(message, ExitCode.LOGIN)
    return found


def _show(device: "DeviceCode") -> None:
    click.echo(f"open {device.address}", err=True)
    if device.code:
        click.echo(f"and see that it shows the code {device.code}", err=True)
    click.echo(f"waiting for you to log in there, for {device.seconds / 60:.0f} minutes at most", err=True)


def _keeping(connection: Connection, store: str | None, *, is_plain_allowed: bool = False) -> "Keeping":
    from entrepot.client.logins import AuthPlaces, Keeping  # ruff: ignore[import-outside-top-level]

    places = AuthPlaces.of(authfile=connection.authfile)
    return Keeping(places.written, store, is_plain_allowed)


def _as(username: str | None) -> str:
    return f" as {username}" if username else ""


def _host(text: str) -> str:
    try:
        return parse_registry(text)
    except ClientError as error:
        raise failure_of(error) from error


def _place(text: str) -> tuple[str, str]:
    """Registry and repository; raises CommandFailed."""
    bare = text.partition("://")[2] or text
    if "/" not in bare.rstrip("/"):
        return _host(text), ""
    try:
        image = ImageReference.parse(bare)
    except ClientError as error:
        raise failure_of(error) from error
    return image.registry, image.repository.text
