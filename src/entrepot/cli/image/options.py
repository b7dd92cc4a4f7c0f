"""Flags that the commands of the client share."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed

OUTPUT: Final = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the result: for people, or for programs.",
)
PLATFORM: Final = click.option(
    "--platform", metavar="OS/ARCH", help="The image for one platform, such as linux/amd64, not the whole index."
)

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_UNITS: Final = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_SIZE: Final = re.compile(r"([0-9]{1,12})\s*([kmg]i?)?b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Connection:
    """How registries are reached, and as whom, as the command line says it."""

    ca: tuple[Path, ...]
    cert: Path | None
    key: Path | None
    plain_http: bool
    insecure_skip_verify: bool
    resolve: tuple[str, ...]
    username: str | None
    password_stdin: bool
    token_stdin: bool
    authfile: Path | None
    anonymous: bool
    retries: int
    max_wait: int
    timeout: int


_CONNECTION: Final = (
    click.option("--ca", multiple=True, type=_FILE, metavar="FILE", help="Trust these authorities, too (PEM)."),
    click.option("--cert", type=_FILE, metavar="FILE", help="Show this certificate to the registry (PEM)."),
    click.option("--key", type=_FILE, metavar="FILE", help="The certificate's key (PEM)."),
    click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS."),
    click.option("--insecure-skip-verify", is_flag=True, help="Trust whoever answers."),
    click.option("--resolve", multiple=True, metavar="HOST:PORT:ADDRESS", help="Connect to this address for a host."),
    click.option("--username", metavar="NAME", help="Who logs in; with --password-stdin."),
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
    click.option("--token-stdin", is_flag=True, help="Read a registry token from standard input."),
    click.option(
        "--authfile",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Logins are in this file, and in no other.  [default: docker's config.json, podman's auth.json]",
    ),
    click.option("--anonymous", is_flag=True, help="Use no credentials."),
    click.option("--retries", type=click.IntRange(0, 100), default=5, show_default=True, help="Failures in a row."),
    click.option(
        "--max-wait",
        type=click.IntRange(0, 86400),
        default=300,
        show_default=True,
        help="Seconds to wait for a registry that limits requests.",
    ),
    click.option(
        "--timeout",
        type=click.IntRange(1, 86400),
        default=60,
        show_default=True,
        help="Seconds that a transfer may stand still.",
    ),
)


@dataclass(frozen=True, slots=True)
class Transfer:
    """How images are moved, as the command line says it."""

    platform: str | None
    referrers: bool
    jobs: int
    dry_run: bool
    no_clobber: bool
    chunk_size: str
    resume: bool
    cache: Path | None
    offline: bool
    limit_rate: str | None
    progress: str


_TRANSFER: Final = (
    PLATFORM,
    click.option(
        "--referrers/--no-referrers",
        default=True,
        show_default=True,
        help="Whether signatures and other referrers come along.",
    ),
    click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Blobs at the same time."),
    click.option("--dry-run", is_flag=True, help="Say what would be stored, and store nothing."),
    click.option("--no-clobber", is_flag=True, help="Leave tags that exist where they are."),
    click.option(
        "--chunk-size",
        metavar="SIZE",
        default="auto",
        show_default=True,
        help="Bytes of a request when a large blob is sent, such as 5MB; auto, or none for one request.",
    ),
    click.option("--resume/--no-resume", default=True, show_default=True, help="Whether to go on with what is there."),
    click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        envvar="ENTREPOT_CLIENT_CACHE",
        help="Keep what comes from registries here, too, for all commands that name it.  [default: none]",
    ),
    click.option(
        "--offline",
        is_flag=True,
        help="Ask no registry for what is copied: it is in the cache.  [its folder by default: ~/.cache/entrepot]",
    ),
    click.option(
        "--limit-rate",
        metavar="SIZE",
        help="Bytes per second of everything together, such as 20MB.  [default: none]",
    ),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "plain", "json", "none"]),
        default="auto",
        show_default=True,
        help="How to tell what happens, on standard error.",
    ),
)


def connected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags of Connection, and their values as ``connection``."""
    return _gathered(command, _CONNECTION, Connection, "connection")


def transferring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags of Transfer, and their values as ``transfer``."""
    return _gathered(command, _TRANSFER, Transfer, "transfer")


def _gathered(command: Callable[..., Any], options: tuple[Any, ...], kind: Any, name: str) -> Callable[..., Any]:
    @wraps(command)
    def gather(**values: Any) -> Any:
        taken = {field.name: values.pop(field.name) for field in fields(kind)}
        return command(**values, **{name: kind(**taken)})

    for option in reversed(options):
        gather = option(gather)
    return gather


def parse_size(text: str, flag: str) -> int:
    """Read ``5MB``, ``16MiB`` or bytes as the value of a flag; raises CommandFailed."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise CommandFailed(f"{flag}: {text!r} is no size such as 5MB or 16MiB", ExitCode.USAGE)
    return int(match[1]) * _UNITS[(match[2] or "").lower()]
