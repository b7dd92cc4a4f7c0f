"""Places as commands take them: what they say of the registries that they are in."""

import click

from entrepot.cli.image.refusals import failure_of
from entrepot.client.errors import ClientError
from entrepot.client.locations import Location, parse_source


def registries_of(text: str) -> frozenset[str]:
    """The registry that a place is in, if it is in one; raises CommandFailed for what is none."""
    try:
        location = parse_source(text)
    except ClientError as error:
        raise failure_of(error) from error
    tell_what_is_meant(location)
    return frozenset() if location.image is None else frozenset({location.image.registry})


def tell_what_is_meant(location: Location) -> None:
    """Say which registry a short name is read as."""
    if location.image is not None and location.image.is_short:
        click.echo(f"entrepot: {location.image.place} is meant", err=True)
