"""Whether the files and directories that settings name are there and can be used."""

import os
from collections.abc import Iterator
from pathlib import Path

from entrepot.settings.layers import Loaded
from entrepot.settings.problems import Problem, SettingsError


def check_reachable(loaded: Loaded) -> None:
    """Raise SettingsError when a file cannot be read or a directory can neither be used nor made; changes nothing."""
    problems = [
        Problem(key, sentence, loaded.origins[key]) for key, sentence in _unreachable(loaded) if sentence is not None
    ]
    if problems:
        raise SettingsError(problems)


def _unreachable(loaded: Loaded) -> Iterator[tuple[str, str | None]]:
    settings = loaded.settings
    yield "data", _directory_problem(settings.data)
    database = settings.database.sqlite_file
    if database is not None and database.parent != settings.data:
        yield "database", _directory_problem(database.parent)
    for key, path in (
        ("admin.password_file", settings.admin.password_file),
        ("tokens.key_file", settings.tokens.key_file),
        ("oidc.ca_file", settings.oidc.ca_file),
        ("ldap.ca_file", settings.ldap.ca_file),
        *(("workload.issuers", file) for one in settings.workload.issuers for file in (one.jwks_file, one.ca_file)),
        ("tls.certificate", settings.tls.certificate),
        ("tls.key", settings.tls.key),
        ("tls.client_ca", settings.tls.client_ca),
    ):
        if path is not None:
            yield key, _file_problem(path)


def _directory_problem(directory: Path) -> str | None:
    """Why nothing can be kept in a directory; one that is missing can perhaps be made."""
    existing = directory
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            return f"cannot use {directory}: {existing} is not a directory"
        if not os.access(existing, os.W_OK | os.X_OK):
            return f"cannot use {directory}: {existing} cannot be written"
    except OSError as error:
        return f"cannot use {directory}: {error.strerror}"
    return None


def _file_problem(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    return None
