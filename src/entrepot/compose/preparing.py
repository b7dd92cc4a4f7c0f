"""What happens once, before any worker starts."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from entrepot.access import (
    Passwords,
    ensure_admin,
)
from entrepot.compose.ports import keyring_of, make_store_directory, store_directory
from entrepot.jobs import ScheduleInvalid, next_run
from entrepot.metadata import (
    has_blob_objects,
    open_database,
    upgrade,
)
from entrepot.settings import Settings
from entrepot.storage import mark


@dataclass(frozen=True, slots=True)
class Prepared:
    """What ``prepare`` found; the file with the first admin's password, if it still lies there."""

    admin_password_file: Path | None


def prepare(settings: Settings) -> Prepared:
    """Make the store's directory, bring the database to this program's schema, see to the first admin.

    To be called once, before any worker starts. Raises DatabaseUnsuitable, FirstPasswordMissing,
    PasswordFileUnusable, Unavailable, SealInvalid, ScheduleInvalid, StoreEmpty.
    """
    _check_schedules(settings)
    make_store_directory(settings)
    upgrade(settings.database.reveal())
    return asyncio.run(_prepare(settings))


def _check_schedules(settings: Settings) -> None:
    schedules = {"gc.schedule": settings.gc.schedule, "gc.sweep_schedule": settings.gc.sweep_schedule}
    for key, schedule in schedules.items():
        try:
            next_run(schedule, None, datetime.now(UTC))
        except ScheduleInvalid as error:
            raise ScheduleInvalid(f"{key}: {error}") from error


async def _prepare(settings: Settings) -> Prepared:
    passwords = Passwords()
    database = open_database(settings.database.reveal())
    try:
        mark(store_directory(settings), objects_on_record=await database.read(has_blob_objects))
        made_at = None if settings.database.sqlite_file is None else settings.data / "admin-password"
        found = await ensure_admin(database, passwords, settings.admin.password_file, made_at)
        await keyring_of(settings, database).load()
    finally:
        await database.close()
        passwords.close()
    return Prepared(found)
