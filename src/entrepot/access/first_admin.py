"""The first administrator, without whom nobody could log in to a new registry."""

import asyncio
import os
from pathlib import Path

from entrepot.access.database_users import DatabaseUsers
from entrepot.access.passwords import PASSWORD_BYTES_AT_MOST, Passwords, generate_password
from entrepot.metadata import Database, add_user, has_users, set_password_hash
from entrepot.secrets import Secret

ADMIN = "admin"


class FirstPasswordMissing(Exception):
    """A new database that several machines may share has no users, and no password was given."""

    def __init__(self) -> None:
        super().__init__("the database has no users yet: give the first admin's password with --admin-password-file")


class PasswordFileUnusable(Exception):
    """The file that holds the admin's password cannot be used; the message says why."""


async def ensure_admin(
    database: Database, passwords: Passwords, given: Path | None, made_at: Path | None
) -> Path | None:
    """See to it that there is an administrator; returns where a password that was made lies, if it still does.

    With ``given``, the user ``admin`` has the password in that file, and one that was made before goes. Otherwise a
    database without users gets one whose password is made and written to ``made_at`` (mode 0600, on disk before the
    row): after a crash in between, the next start goes on with that file. Raises FirstPasswordMissing if neither path
    is given, PasswordFileUnusable.
    """
    if given is not None:
        changed = await _set_password(database, passwords, await asyncio.to_thread(_read, given))
        if changed and made_at is not None and given != made_at:
            await asyncio.to_thread(made_at.unlink, missing_ok=True)
        return None
    there = made_at is not None and await asyncio.to_thread(made_at.exists)
    if await database.read(has_users):
        return made_at if there else None
    if made_at is None:
        raise FirstPasswordMissing
    await _set_password(database, passwords, await asyncio.to_thread(_read if there else _make, made_at))
    return made_at


async def _set_password(database: Database, passwords: Passwords, password: Secret) -> bool:
    """Whether the password was another one before."""
    if await passwords.verify(ADMIN, await DatabaseUsers(database).find_by_name(ADMIN), password):
        return False
    hashed = await passwords.hash(password)
    if not await database.write(lambda tx: add_user(tx, ADMIN, hashed, is_admin=True)):
        await database.write(lambda tx: set_password_hash(tx, ADMIN, hashed))
    return True


def _read(path: Path) -> Secret:
    """The password in a file, without one newline at its end."""
    try:
        with path.open("rb") as file:
            content = file.read(PASSWORD_BYTES_AT_MOST + 2)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as failure:
        raise PasswordFileUnusable(f"cannot read the admin's password from {path}: {failure}") from failure
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or len(content) > PASSWORD_BYTES_AT_MOST:
        raise PasswordFileUnusable(f"{path} must hold a password of 1 to {PASSWORD_BYTES_AT_MOST} bytes")
    return Secret(password)


def _make(path: Path) -> Secret:
    password = generate_password()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(password.reveal() + "\n")
            file.flush()
            os.fsync(file.fileno())
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as failure:
        raise PasswordFileUnusable(f"cannot write the first password to {path}: {failure.strerror}") from failure
    return password
