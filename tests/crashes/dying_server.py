"""`entrepot serve` as it is, but for a database and a store that end the process at the step that a test names.

The file that ``CRASH_FILE`` names says where: ``PORT MOMENT NAME``, such as ``store before sync`` or
``database committed PushManifest``; nothing happens while there is no such file. Where ``CRASH_DISK`` names a mount
point, its power is cut before the process dies.
"""

import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from entrepot import compose
from entrepot.cli.server.directories import make_directories
from entrepot.cli.server.directory_lock import locked
from entrepot.cli.server.given_settings import load_given, settings_flags
from entrepot.cli.server.serve import listeners_of
from entrepot.http import logs, server
from entrepot.metadata import Database, HotReads, Transaction
from entrepot.settings import Settings
from entrepot.storage import BlobStore
from harness.disks import cut_power

CRASH_FILE: Final = "CRASH_FILE"
CRASH_DISK: Final = "CRASH_DISK"

T = TypeVar("T")


class Death:
    """Ends this process when it comes to the step that the file names."""

    def __init__(self, file: Path, disk: Path | None) -> None:
        self._file = file
        self._disk = disk

    def at(self, port: str, moment: str, name: str) -> None:
        """Die if this is the step: ``name`` is a method of the store, or begins with the class whose unit it is."""
        if self._file.exists() and name.startswith(self._wanted(port, moment)):
            if self._disk is not None:
                cut_power(self._disk)
            os.kill(os.getpid(), signal.SIGKILL)

    def _wanted(self, port: str, moment: str) -> tuple[str, ...]:
        wanted_port, wanted_moment, name = self._file.read_text(encoding="ascii").split()
        return (name,) if (wanted_port, wanted_moment) == (port, moment) else ()


class DyingDatabase:
    """A database whose units may be the last: ``before``, ``uncommitted`` when all is done but the COMMIT, or after."""

    def __init__(self, database: Database, death: Death) -> None:
        self._database = database
        self._death = death

    @property
    def hot(self) -> HotReads:
        """The reads of the pull path, as they are."""
        return self._database.hot

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Write, or die."""
        name = unit.__qualname__

        def watched(tx: Transaction) -> T:
            value = unit(tx)
            self._death.at("database", "uncommitted", name)
            return value

        self._death.at("database", "before", name)
        value = await self._database.write(watched)
        self._death.at("database", "committed", name)
        return value

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Read, as it is."""
        return await self._database.read(unit)

    async def ping(self) -> None:
        """Ping, as it is."""
        await self._database.ping()

    async def close(self) -> None:
        """Close, as it is."""
        await self._database.close()


class DyingStore:
    """A store that may die ``before`` or ``after`` a method, or ``midway`` in an append, when the first MiB is written.

    Nothing but what writes can be the last step.
    """

    def __init__(self, store: BlobStore, death: Death) -> None:
        self._store = store
        self._death = death

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Append, or die."""
        self._death.at("store", "before", "append")
        return await self._store.append(key, offset, self._watched(chunks))

    async def sync(self, key: str) -> None:
        """Sync, or die."""
        self._death.at("store", "before", "sync")
        await self._store.sync(key)
        self._death.at("store", "after", "sync")

    def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Read, as it is."""
        return self._store.read(key, start, stop)

    async def size(self, key: str) -> int:
        """Tell the size, as it is."""
        return await self._store.size(key)

    async def delete(self, key: str) -> None:
        """Delete, or die."""
        self._death.at("store", "before", "delete")
        await self._store.delete(key)
        self._death.at("store", "after", "delete")

    def keys(self) -> AsyncGenerator[str, None]:
        """List, as it is."""
        return self._store.keys()

    async def probe(self) -> None:
        """Probe, as it is."""
        await self._store.probe()

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        is_first = True
        async for chunk in chunks:
            if not is_first:
                self._death.at("store", "midway", "append")
            is_first = False
            yield chunk


def open_dying_ports(settings: Settings, stack: AsyncExitStack) -> tuple[Database, BlobStore]:
    """The ports that the registry opens, with a death in them."""
    disk = os.environ.get(CRASH_DISK)
    death = Death(Path(os.environ[CRASH_FILE]), None if disk is None else Path(disk))
    database, store = compose.open_ports(settings, stack)
    return DyingDatabase(database, death), DyingStore(store, death)


@click.command
@settings_flags()
def serve(**given: Any) -> None:
    """Run the registry until it is told to stop, or dies."""
    loaded = load_given(**given)
    settings = loaded.settings
    make_directories(loaded)
    with locked(settings.data):
        log = logs.Logs(settings.log.level.value)
        logs.configure(log)
        compose.prepare(settings)
        server.serve(
            compose.AppFactory(settings, open_dying_ports),
            listeners_of(settings),
            limits=compose.limits_of(settings),
            workers=settings.workers,
            logs=log,
            on_ready=lambda addresses: click.echo(f"entrepot is listening on {addresses[0].url}"),
        )


if __name__ == "__main__":
    serve()
