"""The first administrator: made once, durable before it counts, and replaced by a password that is given."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from entrepot.access import (
    ADMIN,
    DatabaseUsers,
    FirstPasswordMissing,
    PasswordFileUnusable,
    Passwords,
    Secret,
    ensure_admin,
)
from entrepot.metadata import Database, open_database, upgrade


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database, None]:
    """An empty SQLite database."""
    url = f"sqlite:///{tmp_path / 'entrepot.db'}"
    upgrade(url)
    opened = open_database(url)
    yield opened
    await opened.close()


@pytest.fixture
def passwords() -> Generator[Passwords, None, None]:
    """Password hashing."""
    made = Passwords()
    yield made
    made.close()


async def is_admins(database: Database, passwords: Passwords, password: str) -> bool:
    """Whether the admin has this password."""
    return await passwords.verify(ADMIN, await DatabaseUsers(database).find_by_name(ADMIN), Secret(password))


async def test_a_password_is_made_once(database: Database, passwords: Passwords, tmp_path: Path) -> None:
    """The first start writes it for its owner alone; later starts tell where it lies and change nothing."""
    made_at = tmp_path / "admin-password"

    assert await ensure_admin(database, passwords, None, made_at) == made_at
    password = made_at.read_text(encoding="utf-8")
    assert made_at.stat().st_mode & 0o777 == 0o600
    assert await ensure_admin(database, passwords, None, made_at) == made_at

    assert made_at.read_text(encoding="utf-8") == password
    assert await is_admins(database, passwords, password.strip())


async def test_a_start_that_crashed_before_the_row_goes_on(
    database: Database, passwords: Passwords, tmp_path: Path
) -> None:
    """A file without its user is taken as it is."""
    made_at = tmp_path / "admin-password"
    made_at.write_text("left over\n", encoding="utf-8")

    assert await ensure_admin(database, passwords, None, made_at) == made_at
    assert await is_admins(database, passwords, "left over")


async def test_a_given_password_replaces_the_one_that_was_made(
    database: Database, passwords: Passwords, tmp_path: Path
) -> None:
    """The file with the old password goes, as it opens nothing any more."""
    made_at, given = tmp_path / "admin-password", tmp_path / "given"
    await ensure_admin(database, passwords, None, made_at)
    given.write_text("chosen", encoding="utf-8")

    assert await ensure_admin(database, passwords, given, made_at) is None

    assert not made_at.exists()
    assert await is_admins(database, passwords, "chosen")
    assert await ensure_admin(database, passwords, None, made_at) is None


async def test_a_shared_database_needs_its_password_given(database: Database, passwords: Passwords) -> None:
    """Where no file can be made, a database without users is refused, in words."""
    with pytest.raises(FirstPasswordMissing, match="--admin-password-file"):
        await ensure_admin(database, passwords, None, None)


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 5000, b"\xff\xfe"])
async def test_a_file_without_a_password_is_refused(
    database: Database, passwords: Passwords, tmp_path: Path, content: bytes
) -> None:
    """Empty, too long or not text: the start ends, and there is no admin."""
    given = tmp_path / "given"
    given.write_bytes(content)

    with pytest.raises(PasswordFileUnusable):
        await ensure_admin(database, passwords, given, None)
    assert await DatabaseUsers(database).find_by_name(ADMIN) is None
