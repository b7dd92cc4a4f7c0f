"""`entrepot push`, `pull` and `copy`."""

from typing import TYPE_CHECKING, Any, TypeVar

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

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from entrepot.client.client import Client
    from entrepot.client.copy import Copied, CopiedTags, CopyWords
    from entrepot.client.progress import Progress

T = TypeVar("T")


@click.command()
@click.argument("source")
@click.argument("target")
@transferring
@connected
@OUTPUT
def push(*, source: str, target: str, transfer: Transfer, connection: Connection, output: str) -> None:
    """Send an image to a registry.

    SOURCE is a folder with an OCI layout (oci:FOLDER:TAG), an archive (oci-archive:FILE, docker-archive:FILE, - for
    standard input), a path to one of them, or a daemon's image (docker-daemon:NAME:TAG, podman:NAME:TAG). TARGET is
    HOST/NAME:TAG, with several tags as HOST/NAME:1.4.2,1.4,1. What the registry has already is not sent, and what was
    stopped goes on where it stopped. Prints NAME@DIGEST.
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
    (oci-archive:FILE, docker-archive:FILE, with - for standard output), a path, which becomes an archive with .tar at
    its end and else a layout, or a daemon (docker-daemon:NAME:TAG, podman:NAME:TAG). What was stopped goes on where it
    stopped. Prints NAME@DIGEST.
    """
    read_from, write_to = _locations(source, target)
    if read_from.kind is not Kind.REGISTRY or write_to.kind is Kind.REGISTRY:
        raise CommandFailed("pull fetches from a registry into files; copy does everything else", ExitCode.USAGE)
    _copy(source, target, read_from, write_to, transfer, connection, output)


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--all-tags", is_flag=True, help="Copy what every tag of SOURCE names; neither place has a tag then.")
@transferring
@connected
@OUTPUT
def copy(*, source: str, target: str, all_tags: bool, transfer: Transfer, connection: Connection, output: str) -> None:
    """Copy an image from one place to another.

    SOURCE and TARGET are registries' references, layouts (oci:FOLDER:TAG), archives (oci-archive:FILE,
    docker-archive:FILE) or daemons (docker-daemon:NAME:TAG, podman:NAME:TAG). The whole index is copied with its
    signatures and other referrers, under the same digest. Prints NAME@DIGEST; with --all-tags NAME:TAG@DIGEST of each.
    """
    read_from, write_to = _locations(source, target)
    if all_tags and (transfer.cache or transfer.offline):
        raise CommandFailed("--all-tags goes without --cache and --offline", ExitCode.USAGE)
    if all_tags:
        _copy_all(source, target, read_from, write_to, transfer, connection, output)
    else:
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
    def work(client: "Client", progress: "Progress") -> "Coroutine[Any, Any, Copied]":
        return client.copy(source, target, progress=progress, **_words(transfer))

    copied = _moved(work, read_from, write_to, transfer, connection)
    name = f"{write_to.text}@{copied.descriptor.digest}"
    if output == "json":
        print_json(
            {
                "name": name,
                "digest": str(copied.descriptor.digest),
                "mediaType": copied.descriptor.media_type,
                "size": copied.descriptor.size,
                "tags": [tag.text for tag in copied.tags],
                **_stored(copied, transfer),
            }
        )
        return
    _tell_plan(copied, transfer)
    for place in (read_from, write_to):
        if place.kind.keeps_configs_only:
            click.echo(f"entrepot: {place.text}: of the digests only the config's is the same there", err=True)
    click.echo(name, err=write_to.is_stream)


def _copy_all(
    source: str,
    target: str,
    read_from: Location,
    write_to: Location,
    transfer: Transfer,
    connection: Connection,
    output: str,
) -> None:
    def work(client: "Client", progress: "Progress") -> "Coroutine[Any, Any, CopiedTags]":
        return client.copy_all(source, target, progress=progress, **_words(transfer))

    copied = _moved(work, read_from, write_to, transfer, connection)
    if output == "json":
        tags = {tag.text: str(descriptor.digest) for tag, descriptor in copied.tags}
        print_json({"name": write_to.text, "tags": tags, **_stored(copied, transfer)})
        return
    _tell_plan(copied, transfer)
    for tag, descriptor in copied.tags:
        click.echo(f"{write_to.text}:{tag}@{descriptor.digest}")


def _moved(
    work: "Callable[[Client, Progress], Coroutine[Any, Any, T]]",
    read_from: Location,
    write_to: Location,
    transfer: Transfer,
    connection: Connection,
) -> T:
    """Move something between two places, telling how far it is."""
    registries = frozenset(place.image.registry for place in (read_from, write_to) if place.image is not None)
    for place in (read_from, write_to):
        tell_what_is_meant(place)
    with telling(transfer.progress) as progress:
        return run(lambda client: work(client, progress), connection, registries, transfer)


def _words(transfer: Transfer) -> "CopyWords":
    return {
        "platform": transfer.platform,
        "with_referrers": transfer.referrers,
        "jobs": transfer.jobs,
        "is_dry": transfer.dry_run,
        "no_clobber": transfer.no_clobber,
    }


def _stored(copied: "Copied | CopiedTags", transfer: Transfer) -> dict[str, Any]:
    stored = [
        {"digest": str(one.digest), "mediaType": one.media_type, "size": one.size}
        for one in (*copied.blobs, *copied.manifests)
    ]
    return {"dryRun": transfer.dry_run, "stored": stored}


def _tell_plan(copied: "Copied | CopiedTags", transfer: Transfer) -> None:
    """What a copy that is dry would do."""
    if transfer.dry_run:
        for one in (*copied.blobs, *copied.manifests):
            click.echo(f"would store {one.digest} ({one.size} bytes, {one.media_type})", err=True)
