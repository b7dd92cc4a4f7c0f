"""Running a command of the client: a client as the flags describe it, its errors as the command's end."""

import asyncio
import os
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.image.http_library import import_http_library
from entrepot.cli.image.options import Connection, Transfer, parse_size
from entrepot.cli.image.refusals import failure_of
from entrepot.client.errors import ClientError
from entrepot.client.state import cache_folder
from entrepot.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from entrepot.client.cache import Cache
    from entrepot.client.client import Client
    from entrepot.client.credentials import AnyCredentials, CredentialSource
    from entrepot.client.targets.registry import UploadSettings
    from entrepot.client.transport import RateLimit

T = TypeVar("T")

_SECRET_CHARACTERS_AT_MOST: Final = 64 * 1024  # identity tokens of clouds are long


def run(
    work: "Callable[[Client], Awaitable[T]]",
    connection: Connection,
    registries: frozenset[str],
    transfer: Transfer | None = None,
) -> T:
    """Do some work with a client; raises CommandFailed for each of its errors.

    Credentials that are given are for ``registries``, which must be one alone.
    """
    sources = credential_sources(connection, registries)
    return run_with(work, connection, sources, transfer)


def run_with(
    work: "Callable[[Client], Awaitable[T]]",
    connection: Connection,
    sources: "tuple[CredentialSource, ...]",
    transfer: Transfer | None = None,
) -> T:
    """Likewise, with credentials from these sources."""
    kept = "" if transfer is None else "\nwhat was moved is kept: the same command goes on from there"
    return run_async(_worked(work, connection, sources, transfer), kept)


def run_async(work: "Coroutine[Any, Any, T]", kept: str = "") -> T:
    """Wait for some work; raises CommandFailed for each of the client's errors, and for Ctrl-C."""
    try:
        return asyncio.run(work)
    except ClientError as error:
        raise failure_of(error) from error
    except KeyboardInterrupt:
        raise CommandFailed(f"stopped{kept}", ExitCode.OTHER) from None


async def _worked(
    work: "Callable[[Client], Awaitable[T]]",
    connection: Connection,
    sources: "tuple[CredentialSource, ...]",
    transfer: Transfer | None,
) -> T:
    import_http_library()
    # Imported here, so that help is there at once.
    from entrepot.client.client import Client  # ruff: ignore[import-outside-top-level]
    from entrepot.client.configuration import (  # ruff: ignore[import-outside-top-level]
        ConfigurationPlaces,
        ConfiguredOrigins,
    )
    from entrepot.client.credentials import FirstCredentials  # ruff: ignore[import-outside-top-level]
    from entrepot.client.given_origins import GivenOrigins, parse_address  # ruff: ignore[import-outside-top-level]
    from entrepot.client.targets.registry.saved_uploads import (  # ruff: ignore[import-outside-top-level]
        SavedUploads,
    )
    from entrepot.client.transport import Patience  # ruff: ignore[import-outside-top-level]

    origins = GivenOrigins(
        configured=ConfiguredOrigins(ConfigurationPlaces.of()),
        authorities=connection.ca,
        certificate=connection.cert,
        key=connection.key,
        is_plain_http=connection.plain_http,
        is_verified=not connection.insecure_skip_verify,
        addresses=dict(parse_address(text) for text in connection.resolve),
    )
    patience = replace(
        Patience(),
        retries=connection.retries,
        wait_at_most=timedelta(seconds=connection.max_wait),
        idle=timedelta(seconds=connection.timeout),
        answer=timedelta(seconds=max(connection.timeout, Patience().answer.total_seconds())),
    )
    client = Client(
        FirstCredentials(sources),
        origins,
        patience=patience,
        uploads=_upload_settings(transfer),
        saved_uploads=SavedUploads(is_kept=transfer is None or transfer.resume),
        cache=_cache(transfer),
        rate=_rate_limit(transfer),
    )
    async with client:
        return await work(client)


def _rate_limit(transfer: Transfer | None) -> "RateLimit":
    from entrepot.client.transport import RateLimit  # ruff: ignore[import-outside-top-level]

    text = None if transfer is None else transfer.limit_rate
    return RateLimit(None if text is None else parse_size(text, "--limit-rate"))


def _cache(transfer: Transfer | None) -> "Cache | None":
    from entrepot.client.cache import Cache  # ruff: ignore[import-outside-top-level]

    if transfer is None or not (transfer.cache or transfer.offline):
        return None
    return Cache(transfer.cache or cache_folder(), is_offline=transfer.offline)


def _upload_settings(transfer: Transfer | None) -> "UploadSettings":
    from entrepot.client.targets.registry import ChunkSize, UploadSettings  # ruff: ignore[import-outside-top-level]

    if transfer is None or transfer.chunk_size == "auto":
        return UploadSettings()
    if transfer.chunk_size == "none":
        return UploadSettings(ChunkSize(None, is_automatic=False))
    return UploadSettings(ChunkSize(parse_size(transfer.chunk_size, "--chunk-size"), is_automatic=False))


def credential_sources(connection: Connection, registries: frozenset[str]) -> "tuple[CredentialSource, ...]":
    """What flags and variables say about who logs in, for the one registry that it is about, then what is stored."""
    import_http_library()
    from entrepot.client.credentials import (  # ruff: ignore[import-outside-top-level]
        Anonymous,
        GivenCredentials,
    )
    from entrepot.client.logins import AuthPlaces, StoredCredentials  # ruff: ignore[import-outside-top-level]

    if connection.anonymous:
        return (GivenCredentials(Anonymous("--anonymous")),)
    stored = StoredCredentials(AuthPlaces.of(authfile=connection.authfile))
    found = given_credentials(connection)
    if found is None or not registries:
        return (stored,)
    if len(registries) != 1:
        message = (
            "credentials of the command line are for one registry, and this is about several\n"
            "next: entrepot login, to each of them"
        )
        raise CommandFailed(message, ExitCode.USAGE)
    (registry,) = registries
    return (GivenCredentials(found, registry), stored)


def given_credentials(connection: Connection, *, is_asking: bool = False) -> "AnyCredentials | None":
    """The credentials that flags or variables have, or with ``is_asking`` those that are typed in at a terminal.

    Raises CommandFailed for flags that contradict each other.
    """
    return _from_flags(connection, is_asking=is_asking) or _from_variables() or (_typed() if is_asking else None)


def _typed(username: str | None = None) -> "AnyCredentials | None":
    """What somebody types in, None where nobody can."""
    from entrepot.client.credentials import Credentials  # ruff: ignore[import-outside-top-level]

    if not sys.stdin.isatty():
        return None
    name = username or str(click.prompt("User name", err=True))
    return Credentials(name, Secret(str(click.prompt("Password", hide_input=True, err=True))), "the terminal")


def _from_flags(connection: Connection, *, is_asking: bool) -> "AnyCredentials | None":
    from entrepot.client.credentials import (  # ruff: ignore[import-outside-top-level]
        Credentials,
        RegistryToken,
    )

    if connection.token_stdin:
        if connection.password_stdin or connection.username:
            raise CommandFailed("--token-stdin goes without --username and --password-stdin", ExitCode.USAGE)
        return RegistryToken(_read_stdin(), "--token-stdin")
    if connection.password_stdin and connection.username:
        return Credentials(connection.username, _read_stdin(), "--password-stdin")
    if connection.username and is_asking and sys.stdin.isatty():
        return _typed(connection.username)
    if connection.password_stdin or connection.username:
        raise CommandFailed("--username and --password-stdin go together", ExitCode.USAGE)
    return None


def _from_variables() -> "AnyCredentials | None":
    from entrepot.client.credentials import (  # ruff: ignore[import-outside-top-level]
        Credentials,
        RegistryToken,
    )

    token = _variable("ENTREPOT_CLIENT_TOKEN")
    if token is not None:
        return RegistryToken(token, "ENTREPOT_CLIENT_TOKEN")
    username, password = os.environ.get("ENTREPOT_CLIENT_USERNAME"), _variable("ENTREPOT_CLIENT_PASSWORD")
    if username and password is not None:
        return Credentials(username, password, "ENTREPOT_CLIENT_USERNAME")
    return None


def _read_stdin() -> Secret:
    """All of standard input without one newline at its end, so that a key of several lines stays whole."""
    return Secret(sys.stdin.read(_SECRET_CHARACTERS_AT_MOST).removesuffix("\n").removesuffix("\r"))


def _variable(name: str) -> Secret | None:
    file = os.environ.get(f"{name}_FILE")
    if file:
        try:
            with Path(file).open(encoding="utf-8") as opened:
                return Secret(opened.read(_SECRET_CHARACTERS_AT_MOST).removesuffix("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{name}_FILE: {file} cannot be read", ExitCode.USAGE) from error
    text = os.environ.get(name)
    return Secret(text) if text else None
