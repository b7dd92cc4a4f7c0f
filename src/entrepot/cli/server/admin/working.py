"""What the commands of administration have in common: who acts, on what, and how refusals are told."""

import asyncio
import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from entrepot.access import (
    LastAdministrator,
    NameTaken,
    NameUnknownHere,
    NameUnsuitable,
    PatternInvalid,
    ProjectHasContent,
    RepositoryPattern,
    RoleInUse,
    Secret,
    VersionMismatch,
)
from entrepot.access.administration import Operator
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.server.given_settings import load_given, settings_flags
from entrepot.cli.server.refusals import explained
from entrepot.cli.server.remote import SERVER_OPTIONS, Server, opened_remote
from entrepot.compose import opened_administration
from entrepot.metadata import Actor
from entrepot.oci import Denied, NameUnknown, RegistryError, RequestInvalid, TooManyRequests, Unauthorized
from entrepot.settings import Settings, parse_duration

FLAGS: Final = ("data", "database")
"""The settings that say which data is meant."""

_ELSEWHERE: Final = ("server", "login", "ca")

PASSWORD_BYTES_AT_MOST: Final = 4096

Found = TypeVar("Found")
Command = TypeVar("Command", bound=Callable[..., Any])

_CODES: Final[Mapping[type[RegistryError], ExitCode]] = {
    NameUnknownHere: ExitCode.NOT_FOUND,
    NameUnknown: ExitCode.NOT_FOUND,
    Unauthorized: ExitCode.LOGIN,
    Denied: ExitCode.FORBIDDEN,
    TooManyRequests: ExitCode.RATE_LIMITED,
    RoleInUse: ExitCode.OTHER,
    VersionMismatch: ExitCode.OTHER,
    NameTaken: ExitCode.OTHER,
    LastAdministrator: ExitCode.OTHER,
    ProjectHasContent: ExitCode.OTHER,
    NameUnsuitable: ExitCode.USAGE,
    PatternInvalid: ExitCode.USAGE,
    RequestInvalid: ExitCode.USAGE,
}


def which_registry(command: Command) -> Command:
    """Give a command the flags that say what is administered: the data here, or a registry elsewhere."""
    return settings_flags(FLAGS)(SERVER_OPTIONS(command))


def run(given: Mapping[str, Any], work: Callable[[Any], Awaitable[Found]]) -> Found:
    """Carry out ``work`` on what the flags of ``which_registry`` in ``given`` name; raises CommandFailed.

    ``work`` gets a LocalAdministration, or a RemoteAdministration, which has the same calls.
    """
    url, user, ca = (given[name] for name in _ELSEWHERE)
    try:
        if url is not None:
            return asyncio.run(_inside(opened_remote(Server.given(url, user, ca)), work))
        settings = _settings_of(given)
        with explained(settings):
            return asyncio.run(_inside(opened_administration(settings), work))
    except tuple(_CODES) as refusal:
        code = next(code for kind, code in _CODES.items() if isinstance(refusal, kind))
        raise CommandFailed(words(refusal), code) from refusal


def registry_of(given: Mapping[str, Any]) -> str | None:
    """The public address of the registry that is administered, None where nothing says it."""
    if given["server"] is not None:
        return str(given["server"])
    public_url = _settings_of(given).public_url
    return None if public_url is None else str(public_url)


def data_of(given: Mapping[str, Any]) -> Path | None:
    """The data directory that is administered, None for a registry elsewhere."""
    return None if given["server"] is not None else _settings_of(given).data


def _settings_of(given: Mapping[str, Any]) -> Settings:
    return load_given(**{name: value for name, value in given.items() if name not in _ELSEWHERE}).settings


async def _inside(opened: AbstractAsyncContextManager[Any], work: Callable[[Any], Awaitable[Found]]) -> Found:
    async with opened as administration:
        return await work(administration)


def words(refusal: RegistryError) -> str:
    """A refusal in one line, with what it is about."""
    details = ", ".join(f"{name}: {_value(value)}" for name, value in refusal.detail.items() if value is not None)
    return f"{refusal} ({details})" if details else str(refusal)


def operator() -> Operator:
    """Whoever runs this command on the machine."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return Operator(Actor("operator", str(number), name))


def password_of(*, from_stdin: bool) -> Secret:
    """A new password: the first line of stdin, or what is typed twice; raises CommandFailed for none."""
    if not from_stdin:
        return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    line = sys.stdin.readline(PASSWORD_BYTES_AT_MOST + 2).removesuffix("\n").removesuffix("\r")
    if not line:
        raise CommandFailed("there is no password on stdin", ExitCode.USAGE)
    return Secret(line)


def lifetime_of(text: str | None) -> timedelta | None:
    """A duration such as ``30d``; raises CommandFailed."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CommandFailed(f"{text!r} is no duration: {error}", ExitCode.USAGE) from error


def pattern_of(text: str) -> RepositoryPattern:
    """A pattern of repositories; raises CommandFailed."""
    try:
        return RepositoryPattern.parse(text)
    except PatternInvalid as error:
        raise CommandFailed(f"{text!r}: {words(error)}", ExitCode.USAGE) from error


def write_secret_file(path: Path, content: str) -> None:
    """Write a file that only its owner may read, and that was not there before; raises CommandFailed."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}", ExitCode.OTHER) from error
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(content)


def instant(value: datetime | None) -> str:
    """An instant for people; a dash for none."""
    return "-" if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")


def instant_json(value: datetime | None) -> str | None:
    """An instant for programs (RFC 3339)."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
