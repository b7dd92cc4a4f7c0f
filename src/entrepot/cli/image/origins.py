"""`entrepot origins`: how a registry is reached, and which file says so."""

from typing import TYPE_CHECKING, Any

import click

from entrepot.cli.image.options import OUTPUT, Connection, connected
from entrepot.cli.image.refusals import failure_of
from entrepot.cli.image.working import run
from entrepot.cli.output import print_json
from entrepot.client.errors import ClientError
from entrepot.client.references import ImageReference, is_bare_registry, parse_registry

if TYPE_CHECKING:
    from entrepot.client.origins import Mirror, Origin


@click.command()
@click.argument("image", metavar="REF")
@connected
@OUTPUT
def origins(*, image: str, connection: Connection, output: str) -> None:
    """Say how the registry of an image is reached: mirrors, certificates, proxy, and the file that each comes from.

    Read are client.toml, registries.conf, hosts.toml and the folders certs.d, and the flags and variables of this
    command. Nothing is sent.
    """
    try:
        registry = parse_registry(image) if is_bare_registry(image) else _registry_of(image)
    except ClientError as error:
        raise failure_of(error) from error
    route = run(lambda client: client.route(image), connection, frozenset({registry}))
    asked = [_described(mirror.origin, mirror.repository, _use(mirror), mirror.namespace) for mirror in route.mirrors]
    last = route.pulled_from
    if last is not None:
        asked.append(_described(last.origin, last.repository, "pulls", last.namespace))
    asked.append(_described(route.origin, route.repository, "everything" if last is None else "pushes"))
    if output == "json":
        print_json(asked)
        return
    for number, one in enumerate(asked):
        if number:
            click.echo()
        for name, value in one.items():
            if value not in (None, [], ""):
                click.echo(f"{name:<12} {', '.join(value) if isinstance(value, list) else value}")


def _registry_of(image: str) -> str:
    reference = ImageReference.parse(image)
    if reference.is_short:
        click.echo(f"entrepot: {reference.place} is meant", err=True)
    return reference.registry


def _use(mirror: "Mirror") -> str:
    kinds = (("tags", mirror.tags), ("content by digest", mirror.digests))
    return " and ".join(kind for kind, is_asked in kinds if is_asked) or "nothing"


def _described(origin: "Origin", repository: str, use: str, namespace: str | None = None) -> dict[str, Any]:
    """A server as people and programs read it; of headers only the names."""
    scheme = "https, else http" if origin.scheme == "either" else origin.scheme.value
    return {
        "server": f"{origin.authority}{origin.path}",
        "scheme": scheme,
        "repository": repository,
        "asked for": use,
        "asked as": namespace,
        "address": origin.address,
        "authorities": [str(path) for path in origin.tls.authorities],
        "certificate": None if origin.tls.certificate is None else str(origin.tls.certificate),
        "verified": origin.scheme != "http" and origin.tls.verify,
        "proxy": origin.proxy.rpartition("@")[2] if origin.proxy else None,
        "headers": [name for name, _ in origin.headers],
        "found in": list(origin.found_in),
    }
