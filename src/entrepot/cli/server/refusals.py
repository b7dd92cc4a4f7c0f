"""What keeps a server or its database from working, in lines for its operator."""

import contextlib
from collections.abc import Generator, Mapping

from entrepot.access import FirstPasswordMissing, PasswordFileUnusable, SealInvalid
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.jobs import ScheduleInvalid
from entrepot.metadata import DatabaseUnsuitable, DatabaseUrlInvalid
from entrepot.oci import StorageFull, Unavailable
from entrepot.settings import Settings
from entrepot.storage import MARKER, StoreEmpty


@contextlib.contextmanager
def explained(settings: Settings) -> Generator[None, None, None]:
    """Turn what the parts raise before they can work into CommandFailed."""
    try:
        yield
    except FirstPasswordMissing as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from error
    except PasswordFileUnusable as error:
        raise CommandFailed(f"admin.password_file: {error}", ExitCode.USAGE) from error
    except ScheduleInvalid as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from error
    except StoreEmpty as error:
        store = settings.data / "store"
        message = (
            f"data: {store} is empty, but the database has blobs in it: mount the disk that holds them, or bring them "
            f"back from a backup; if they are lost for good, make an empty file {store / MARKER} to go on without them"
        )
        raise CommandFailed(message, ExitCode.USAGE) from error
    except SealInvalid as error:
        raise CommandFailed(f"tokens.key_file: {error}{_details(error.detail)}", ExitCode.USAGE) from error
    except DatabaseUrlInvalid as error:
        raise CommandFailed(f"database: {error}{_details(error.detail)}", ExitCode.USAGE) from error
    except (DatabaseUnsuitable, StorageFull) as error:
        raise CommandFailed(f"database: {error}{_details(error.detail)}", ExitCode.OTHER) from error
    except Unavailable as error:
        code = ExitCode.NETWORK if settings.database.sqlite_file is None else ExitCode.OTHER
        message = f"database: {settings.database} does not answer{_details(error.detail)}"
        raise CommandFailed(message, code) from error


def _details(detail: Mapping[str, object]) -> str:
    """The values of an error in brackets, those that are there."""
    said = ", ".join(f"{name}: {value}" for name, value in detail.items() if value is not None)
    return f" ({said})" if said else ""
