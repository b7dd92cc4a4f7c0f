"""Settings as a command gets them: its flags, the environment, the file."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.settings import Loaded, Option, SettingsError, check_reachable, load_settings, options

Command = TypeVar("Command", bound=Callable[..., Any])


def settings_flags(keys: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Give a command ``--config`` and the flags of the options with these keys, or of all that have one.

    The command passes its keyword arguments on to ``load_given``.
    """

    def decorate(command: Command) -> Command:
        shown = [option for option in options() if option.has_flag and (keys is None or option.key in keys)]
        for option in reversed(shown):
            command = _flag(option)(command)
        return click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Settings in TOML; /etc/entrepot/entrepot.toml is read if it is there and this is not given.",
        )(command)

    return decorate


def load_given(*, config: Path | None, **flags: str | None) -> Loaded:
    """Load the settings from what ``settings_flags`` got; raises CommandFailed with a line per problem."""
    typed = {_key(parameter): text for parameter, text in flags.items() if text is not None}
    try:
        return load_settings(typed, os.environ, config)
    except SettingsError as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from error


def require_reachable(loaded: Loaded) -> None:
    """Refuse settings that name files or directories that cannot be used; raises CommandFailed."""
    try:
        check_reachable(loaded)
    except SettingsError as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from error


def _flag(option: Option) -> Callable[[Command], Command]:
    assert option.flag is not None
    default = option.default_words or option.default
    suffix = f" [default: {default}]" if default else ""
    return click.option(
        option.flag,
        _parameter(option.key),
        metavar=option.placeholder,
        help=(option.description + suffix).replace("`", ""),
    )


def _parameter(key: str) -> str:
    return key.replace(".", "__")


def _key(parameter: str) -> str:
    return parameter.replace("__", ".")
