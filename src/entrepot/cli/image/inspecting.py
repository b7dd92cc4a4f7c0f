"""`entrepot inspect`: what an image is and what it is made of."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from entrepot.cli.image.options import OUTPUT, PLATFORM, Connection, connected
from entrepot.cli.image.places import registries_of
from entrepot.cli.image.working import run
from entrepot.cli.output import print_json, print_table, size_text
from entrepot.client.errors import printable

if TYPE_CHECKING:
    from entrepot.client.inspecting import Inspected
    from entrepot.oci import Descriptor


@click.command()
@click.argument("image")
@PLATFORM
@connected
@OUTPUT
def inspect(*, image: str, platform: str | None, connection: Connection, output: str) -> None:
    """Show what an image is: platforms, layers, labels, how it is started, and what refers to it.

    IMAGE is in a registry, a layout or an archive. No layer is fetched.
    """
    found = run(lambda client: client.inspect(image, platform=platform), connection, registries_of(image))
    if output == "json":
        print_json(_document(found))
        return
    _print_facts(found)
    if found.manifest.is_index:
        _print_children(found)
    elif found.manifest.layers:
        click.echo()
        print_table(["layer", "size", "type"], [_row(layer) for layer in found.manifest.layers])
    if found.referrers:
        click.echo()
        print_table(["referrer", "size", "type"], [_row(one) for one in found.referrers])


def _print_facts(found: "Inspected") -> None:
    started = _started(found.config)
    facts = {
        "digest": str(found.descriptor.digest),
        "type": found.descriptor.media_type,
        "artifact": found.manifest.artifact_type or "",
        "platforms": ", ".join(found.platforms),
        "created": str(found.config.get("created") or ""),
        "size": size_text(found.size),
        **{name: str(value) for name, value in started.items() if value},
        **{f"annotation {key}": text for key, text in found.manifest.annotations.items()},
        **{f"label {key}": str(text) for key, text in _labels(found.config).items()},
    }
    width = max(len(name) for name, text in facts.items() if text)
    for name, text in facts.items():
        if text:
            click.echo(f"{printable(name).ljust(width)}  {printable(text)}")


def _print_children(found: "Inspected") -> None:
    from entrepot.client.platforms import platform_text  # ruff: ignore[import-outside-top-level]  help does without it

    click.echo()
    children = found.manifest.child_references()
    platforms = ["" if one.platform is None else platform_text(one.platform) for one in children]
    rows = [[platform, *_row(one)] for platform, one in zip(platforms, children, strict=True)]
    print_table(["platform", "manifest", "size", "type"], rows)


def _row(descriptor: "Descriptor") -> list[str]:
    return [
        str(descriptor.digest),
        size_text(descriptor.size),
        descriptor.artifact_type or descriptor.media_type,
    ]


def _document(found: "Inspected") -> dict[str, Any]:
    return {
        "digest": str(found.descriptor.digest),
        "mediaType": found.descriptor.media_type,
        "artifactType": found.manifest.artifact_type,
        "platforms": found.platforms,
        "size": found.size,
        "created": found.config.get("created"),
        **_started(found.config),
        "labels": _labels(found.config),
        "annotations": dict(found.manifest.annotations),
        "layers": _described(found.manifest.layers),
        "manifests": _described(found.manifest.child_references()),
        "referrers": _described(found.referrers),
    }


def _described(descriptors: "Sequence[Descriptor]") -> list[dict[str, Any]]:
    return [one.to_json() for one in descriptors]


def _started(config: Mapping[str, Any]) -> dict[str, Any]:
    """How containers of the image are started."""
    section = config.get("config")
    section = section if isinstance(section, dict) else {}
    return {
        "user": section.get("User"),
        "entrypoint": section.get("Entrypoint"),
        "command": section.get("Cmd"),
        "workdir": section.get("WorkingDir"),
    }


def _labels(config: Mapping[str, Any]) -> dict[str, Any]:
    section = config.get("config")
    labels = section.get("Labels") if isinstance(section, dict) else None
    return labels if isinstance(labels, dict) else {}
