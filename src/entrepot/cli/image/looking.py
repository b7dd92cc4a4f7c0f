"""`entrepot digest`, `manifest` and `catalog`: what a registry, layout or archive has."""

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from entrepot.cli.image.options import OUTPUT, PLATFORM, Connection, connected
from entrepot.cli.image.places import registries_of
from entrepot.cli.image.refusals import failure_of
from entrepot.cli.image.working import run
from entrepot.cli.output import print_json
from entrepot.client.errors import ClientError
from entrepot.client.references import parse_registry

if TYPE_CHECKING:
    from entrepot.client.client import Client


@click.command()
@click.argument("image")
@PLATFORM
@connected
@OUTPUT
def digest(*, image: str, platform: str | None, connection: Connection, output: str) -> None:
    """Print the digest of an image in a registry, a layout or an archive."""
    found = run(lambda client: client.resolve(image, platform=platform), connection, registries_of(image))
    if output == "json":
        print_json({"digest": str(found.digest), "mediaType": found.media_type, "size": found.size})
        return
    click.echo(str(found.digest))


@click.command()
@click.argument("image")
@PLATFORM
@connected
def manifest(*, image: str, platform: str | None, connection: Connection) -> None:
    """Print a manifest, byte for byte as it was pushed."""
    _, content = run(lambda client: client.manifest(image, platform=platform), connection, registries_of(image))
    sys.stdout.buffer.write(content)


@click.command()
@click.argument("registry", metavar="HOST")
@connected
@OUTPUT
def catalog(*, registry: str, connection: Connection, output: str) -> None:
    """List the repositories of a registry, as far as it shows them."""
    try:
        host = parse_registry(registry)
    except ClientError as error:
        raise failure_of(error) from error

    async def listed(client: "Client") -> list[str]:
        async with contextlib.aclosing(client.repositories(registry)) as names:
            return [name.text async for name in names]

    found = run(listed, connection, frozenset({host}))
    if output == "json":
        print_json(found)
        return
    for name in found:
        click.echo(name)
