"""`entrepot tags`, `tag`, `untag` and `delete`: the names of images in a registry."""

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.image.commits import commit_tags
from entrepot.cli.image.options import OUTPUT, Connection, connected
from entrepot.cli.image.refusals import failure_of
from entrepot.cli.image.working import run
from entrepot.cli.output import print_json
from entrepot.client.errors import ClientError
from entrepot.client.references import ImageReference
from entrepot.oci import Tag, TagInvalid, version_key

_RELEASE: Final = re.compile(r"(v?)(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_FULL_VERSION: Final = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+.*")


@click.command()
@click.argument("repository")
@click.option(
    "--sort",
    type=click.Choice(["name", "semver", "date"]),
    default="name",
    show_default=True,
    help="By name; versions from the oldest to the newest and then other tags; or by when the images were made.",
)
@click.option("--filter", "pattern", metavar="GLOB", default="*", help="Only tags such as 1.4.*, with * and ?.")
@connected
@OUTPUT
def tags(*, repository: str, sort: str, pattern: str, connection: Connection, output: str) -> None:
    """List the tags of a repository, HOST/NAME."""
    registries = frozenset({_image(repository).registry})
    if sort == "date":
        _print_dated(run(lambda client: client.dated_tags(repository), connection, registries), pattern, output)
        return
    found = run(lambda client: client.tags(repository), connection, registries)
    chosen = [tag for tag in found if fnmatchcase(tag.text, pattern)]
    chosen.sort(key=_by_version if sort == "semver" else _by_name)
    if output == "json":
        print_json([tag.text for tag in chosen])
        return
    for tag in chosen:
        click.echo(tag.text)


@click.command()
@click.argument("image")
@click.argument("names", nargs=-1, metavar="[TAG...]")
@click.option("--semver", is_flag=True, help="From HOST/NAME:1.4.2 also 1.4 and 1; of a pre-release nothing.")
@click.option("--git", is_flag=True, help="The commit of the working tree here, and what git describe says of it.")
@click.option("--force", is_flag=True, help="Move tags that are whole versions, such as 1.4.2, too.")
@connected
@OUTPUT
def tag(
    *,
    image: str,
    names: tuple[str, ...],
    semver: bool,
    git: bool,
    force: bool,
    connection: Connection,
    output: str,
) -> None:
    """Give an image more tags, without moving its content.

    A whole version, such as 1.4.2, is moved with --force alone; 1.4, 1 and other tags are there to be moved. The tag
    latest is given only if it is written. Prints NAME:TAG for each.
    """
    reference = _image(image)
    wanted = [_tag(name) for name in names] + (_floating(reference.tag) if semver else [])
    wanted += [one for one in (commit_tags() if git else []) if one not in wanted]
    if not wanted:
        raise CommandFailed("there is no tag to give: write them, or --semver for a version, or --git", ExitCode.USAGE)
    fixed = [one for one in wanted if _FULL_VERSION.fullmatch(one.text)]
    moving = [one for one in wanted if one not in fixed]
    registries = frozenset({reference.registry})
    if fixed:
        run(lambda client: client.tag(image, fixed, may_move=force), connection, registries)
    if moving:
        run(lambda client: client.tag(image, moving), connection, registries)
    if output == "json":
        print_json([f"{reference.place}:{one}" for one in wanted])
        return
    for one in wanted:
        click.echo(f"{reference.place}:{one}")


@click.command()
@click.argument("image")
@connected
def untag(*, image: str, connection: Connection) -> None:
    """Take the tag of HOST/NAME:TAG away, and nothing else: its image stays, also under other tags."""
    reference = _tagged(image)
    run(lambda client: client.untag(image), connection, frozenset({reference.registry}))
    click.echo(f"{reference.place}:{reference.tag} is no more", err=True)


@click.command()
@click.argument("image")
@click.option("--force", is_flag=True, help="Delete it also where other tags name the same image; they go with it.")
@connected
def delete(*, image: str, force: bool, connection: Connection) -> None:
    """Delete an image with its tag; not while other tags name it, which are told. Prints its digest."""
    reference = _image(image)
    if reference.tag is None and reference.digest is None:
        raise CommandFailed(f"{image}: say which, HOST/NAME:TAG or HOST/NAME@DIGEST", ExitCode.USAGE)
    registries = frozenset({reference.registry})
    digest = run(lambda client: client.delete(image, with_other_tags=force), connection, registries)
    click.echo(f"{reference.place}@{digest}")


def _print_dated(found: list[tuple[Tag, datetime | None]], pattern: str, output: str) -> None:
    """From the oldest to the newest, and then those that have no date."""
    chosen = [(tag, made) for tag, made in found if fnmatchcase(tag.text, pattern)]
    never = datetime.max.replace(tzinfo=UTC)
    chosen.sort(key=lambda entry: (entry[1] or never, entry[0].text))
    if output == "json":
        print_json([{"tag": tag.text, "created": made} for tag, made in chosen])
        return
    for tag, made in chosen:
        click.echo(f"{made.isoformat(timespec='seconds') if made else '-'}  {tag}")


def _floating(version: Tag | None) -> list[Tag]:
    """``1.4`` and ``1`` of ``1.4.2``; raises CommandFailed for what is no version."""
    text = "" if version is None else version.text
    if not _FULL_VERSION.fullmatch(text):
        raise CommandFailed(f"--semver: {text or 'the image'} is no version such as 1.4.2", ExitCode.USAGE)
    match = _RELEASE.fullmatch(text)
    if match is None:
        return []
    prefix, major, minor, _ = match.groups()
    return [Tag(f"{prefix}{major}.{minor}"), Tag(f"{prefix}{major}")]


def _by_name(tag: Tag) -> bytes:
    return tag.text.encode()


def _by_version(tag: Tag) -> tuple[bool, bytes, bytes]:
    key = version_key(tag)
    return key is None, key or b"", tag.text.encode()


def _tag(text: str) -> Tag:
    try:
        return Tag.parse(text)
    except TagInvalid as error:
        raise CommandFailed(f"{text!r} is no tag: letters, digits and . _ -, 128 at most", ExitCode.USAGE) from error


def _tagged(text: str) -> ImageReference:
    reference = _image(text)
    if reference.tag is None:
        raise CommandFailed(f"{text}: which tag? write HOST/NAME:TAG", ExitCode.USAGE)
    return reference


def _image(text: str) -> ImageReference:
    try:
        return ImageReference.parse(text)
    except ClientError as error:
        raise failure_of(error) from error
