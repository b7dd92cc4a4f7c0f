"""Which registry is administered, and as whom."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from entrepot.access import Secret
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed

Command = TypeVar("Command", bound=Callable[..., Any])

_SECRET_CHARACTERS_AT_MOST: Final = 16 * 1024
_LOOPBACK: Final = ("localhost", "127.", "::1")


def SERVER_OPTIONS(command: Command) -> Command:  # ruff: ignore[invalid-function-name]  reads as the decorators beside it
    """Give a command ``--server`` and what goes with it."""
    for option in (
        click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Authority of its TLS, in PEM."),
        click.option("--login", "login", metavar="NAME", help="Who logs in. [default: ENTREPOT_CLIENT_USERNAME]"),
        click.option(
            "--server",
            metavar="URL",
            help="Administer the registry there instead of the data here; with ENTREPOT_CLIENT_PASSWORD, or a token in "
            "ENTREPOT_CLIENT_TOKEN, or either in a file named by that variable with _FILE, or typed in.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Server:
    """The registry's address and the credentials for it: a name and a password, or a token alone (``name`` empty)."""

    url: str
    name: str
    secret: Secret
    ca: Path | None

    @classmethod
    def given(cls, url: str, user: str | None, ca: Path | None) -> "Server":
        """From flags and environment, asking at a terminal for what is missing; raises CommandFailed."""
        _check_address(url)
        token = _variable("ENTREPOT_CLIENT_TOKEN")
        if token is not None and user is None:
            return cls(url.rstrip("/"), "", token, ca)
        name = user or os.environ.get("ENTREPOT_CLIENT_USERNAME") or _typed("User name", hide=False)
        password = _variable("ENTREPOT_CLIENT_PASSWORD") or Secret(_typed("Password", hide=True))
        return cls(url.rstrip("/"), name, password, ca)


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        message = f"--server: {url!r} is no address such as https://registry.example:5000"
        raise CommandFailed(message, ExitCode.USAGE)
    if parts.scheme == "http" and not parts.hostname.startswith(_LOOPBACK):
        click.echo("entrepot: the password travels unencrypted: the address is http://", err=True)


def _variable(name: str) -> Secret | None:
    file = os.environ.get(f"{name}_FILE")
    if file is not None:
        try:
            with Path(file).open(encoding="utf-8") as opened:
                return Secret(opened.read(_SECRET_CHARACTERS_AT_MOST).removesuffix("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{name}_FILE: {file} cannot be read", ExitCode.USAGE) from error
    text = os.environ.get(name)
    return Secret(text) if text else None


def _typed(what: str, *, hide: bool) -> str:
    if not sys.stdin.isatty():
        message = "there are no credentials: set ENTREPOT_CLIENT_TOKEN, or ENTREPOT_CLIENT_USERNAME and _PASSWORD"
        raise CommandFailed(message, ExitCode.LOGIN)
    return str(click.prompt(what, hide_input=hide, err=True))
