"""What commands print: tables for people, JSON for programs."""

import json
from collections.abc import Sequence
from typing import Any, Final

import click

OUTPUT: Final = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print: for people, or for programs.",
)

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024


def print_json(document: Any) -> None:
    """Print a document that JSON can hold, instants as RFC 3339."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, err: bool = False) -> None:
    """Print columns as wide as their widest cell; with ``err`` to stderr, beside what programs read."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for line in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip(), err=err)


def size_text(size: int) -> str:
    """Bytes as people read them: ``1.5 GiB``."""
    number = float(size)
    for unit in _UNITS[:-1]:
        if number < _STEP:
            return f"{number:.1f} {unit}" if unit != "B" else f"{size} B"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"
