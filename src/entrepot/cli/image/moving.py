"""`entrepot push`, `pull` and `copy`."""

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.image.options import OUTPUT, Connection, Transfer, connected, transferring
from entrepot.cli.image.places import tell_what_is_meant
from entrepot.cli.image.progress import telling
from entrepot.cli.image.refusals import failure_of
from entrepot.cli.image.working import run
from entrepot.cli.output import print_json
from entrepot.client.errors import ClientError
from entrepot.client.locations import Kind, Location, parse_source, parse_target


@click.command()
@click.argument("source")
@click.argument("target")
@transferring
@connected
@OUTPUT
def push(*, source: str, target: str, transfer: Transfer, connection: Connection, output: str) -> None:
    """Send an image to a registry.

    SOURCE is a folder with an OCI layout (oci:FOLDER:TAG), an archive (oci-archive:FILE, docker-archive:FILE) or a path
    to one of them; TARGET is HOST/NAME:TAG, with several tags as HOST/NAME:1.4.2,1.4,1. What the registry has already
    is not sent, and what was stopped goes on where it stopped. Prints NAME@DIGEST.
    """
    read_from, write_to = _locations(source, target)
    if write_to.kind is not Kind.REGISTRY:
        raise CommandFailed(f"{target}: push sends to a registry; pull or copy write files", ExitCode.USAGE)
    _copy(source, target, read_from, write_to, transfer, connection, output)


@click.command()
@click.argument("source")
@click.argument("target")
@transferring
@connected
@OUTPUT
def pull(*, source: str, target: str, transfer: Transfer, connection: Connection, output: str) -> None:
    """Fetch an image from a registry.

    SOURCE is HOST/NAME:TAG or HOST/NAME@DIGEST; TARGET is a folder for an OCI layout (oci:FOLDER:TAG), an archive
    (oci-archive:FILE, docker-archive:FILE) or a path: with .tar at its end it becomes an archive, else a layout. What
    was stopped goes on where it stopped. Prints NAME@DIGEST.
    """
    read_from, write_to = _locations(source, target)
    if read_from.kind is not Kind.REGISTRY or write_to.kind is Kind.REGISTRY:
        raise CommandFailed("pull fetches from a registry into files; copy does everything else", ExitCode.USAGE)
    _copy(source, target, read_from, write_to, transfer, connection, output)


@click.command()
@click.argument("source")
@click.argument("target")
@transferring
@connected
@OUTPUT
def copy(*, source: str, target: str, transfer: Transfer, connection: Connection, output: str) -> None:
    """Copy an image from one place to another.

    SOURCE and TARGET are registries' references, layouts (oci:FOLDER:TAG) or archives (oci-archive:FILE,
    docker-archive:FILE). The whole index is copied with its signatures and other referrers, under the same digest.
    Prints NAME@DIGEST.
    """
    read_from, write_to = _locations(source, target)
    _copy(source, target, read_from, write_to, transfer, connection, output)


def _locations(source: str, target: str) -> tuple[Location, Location]:
    try:
        return parse_source(source), parse_target(target)
    except ClientError as error:
        raise failure_of(error) from error


def _copy(
    source: str,
    target: str,
    read_from: Location,
    write_to: Location,
    transfer: Transfer,
    connection: Connection,
    output: str,
) -> None:
    registries = frozenset(place.image.registry for place in (read_from, write_to) if place.image is not None)
    for place in (read_from, write_to):
        tell_what_is_meant(place)
    with telling(transfer.progress) as progress:
        copied = run(
            lambda client: client.copy(
                source,
                target,
                platform=transfer.platform,
                with_referrers=transfer.referrers,
                jobs=transfer.jobs,
                is_dry=transfer.dry_run,
                no_clobber=transfer.no_clobber,
                progress=progress,
            ),
            connection,
            registries,
            transfer,
        )
    name = f"{write_to.text}@{copied.descriptor.digest}"
    if output == "json":
        print_json(
            {
                "name": name,
                "digest": str(copied.descriptor.digest),
                "mediaType": copied.descriptor.media_type,
                "size": copied.descriptor.size,
                "tags": [tag.text for tag in copied.tags],
                "dryRun": transfer.dry_run,
                "stored": [
                    {"digest": str(one.digest), "mediaType": one.media_type, "size": one.size}
                    for one in (*copied.blobs, *copied.manifests)
                ],
            }
        )
        return
    if transfer.dry_run:
        for one in (*copied.blobs, *copied.manifests):
            click.echo(f"would store {one.digest} ({one.size} bytes, {one.media_type})", err=True)
    click.echo(name)
