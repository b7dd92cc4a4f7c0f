"""The directories that a server keeps its data in."""

import os
from pathlib import Path

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.settings import Loaded


def make_directories(loaded: Loaded) -> None:
    """Make the data directory and that of an SQLite database, for their owner alone, and durably.

    What is there already stays as it is. Raises CommandFailed.
    """
    database = loaded.settings.database.sqlite_file
    wanted = [("data", loaded.settings.data)] + ([("database", database.parent)] if database else [])
    for key, directory in wanted:
        try:
            _make(directory)
        except OSError as error:
            message = f"{key}: cannot make {directory}: {error.strerror} ({loaded.origins[key]})"
            raise CommandFailed(message, ExitCode.USAGE) from error


def _make(directory: Path) -> None:
    if directory.is_dir():
        return
    _make(directory.parent)
    directory.mkdir(0o700, exist_ok=True)
    descriptor = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
