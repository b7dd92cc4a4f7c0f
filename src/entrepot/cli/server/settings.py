"""``entrepot settings``: what a server would run with, and where each value came from."""

import json
import re
import sys
from itertools import groupby
from typing import Any

import click

from entrepot.cli.server.given_settings import load_given, require_reachable, settings_flags
from entrepot.settings import Loaded, Option, Written, is_masked, json_schema, options, value_of

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@click.group
def settings() -> None:
    """Show and check the server's settings."""


@settings.command
@settings_flags()
@click.option(
    "--output",
    type=click.Choice(["table", "json", "toml"]),
    default="table",
    show_default=True,
    help="How to print them.",
)
def show(*, output: str, **given: Any) -> None:
    """Print every effective setting and where it came from; passwords are masked."""
    loaded = load_given(**given)
    render = {"table": _as_table, "json": _as_json, "toml": _as_toml}[output]
    click.echo(render(loaded))


@settings.command
@settings_flags()
def check(**given: Any) -> None:
    """Say whether the server could start with these settings; exit code 2 if not."""
    loaded = load_given(**given)
    require_reachable(loaded)
    click.echo("the settings are in order")


@settings.command
def schema() -> None:
    """Print the JSON Schema of the settings file."""
    click.echo(json.dumps(json_schema(), indent=2))


def _as_table(loaded: Loaded) -> str:
    rows = [
        (option.key, _literal(value_of(loaded.settings, option)), loaded.origins[option.key]) for option in options()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for key, value, origin in rows)


def _as_json(loaded: Loaded) -> str:
    shown = {
        option.key: {"value": value_of(loaded.settings, option), "origin": loaded.origins[option.key]}
        for option in options()
    }
    return json.dumps(shown, indent=2, ensure_ascii=sys.stdout.encoding.lower() != "utf-8")


def _as_toml(loaded: Loaded) -> str:
    """A settings file with these values; what has none or would show a secret stands in a comment."""
    lines: list[str] = []
    for section, members in groupby(options(), key=_section):
        lines += ["", f"[{section}]"] if section else []
        lines += [_toml_line(loaded, option) for option in members]
    return "\n".join(lines)


def _section(option: Option) -> str:
    return option.key.rpartition(".")[0]


def _toml_line(loaded: Loaded, option: Option) -> str:
    name = option.key.rpartition(".")[2]
    value = value_of(loaded.settings, option)
    origin = loaded.origins[option.key]
    if value is None:
        return f"# {name} is not set"
    hidden = "# " if is_masked(value) else ""
    return f"{hidden}{name} = {_literal(value)}  # {origin}"


def _literal(value: Written | dict[str, str]) -> str:
    """A value as TOML writes it; ``-`` for none."""
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
        case dict():
            return f"{{ {', '.join(f'{name} = {_literal(entry)}' for name, entry in value.items())} }}"
        case list():
            return f"[{', '.join(map(_literal, value))}]"
