"""The kinds of jobs, and the process that runs them."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from entrepot.compose.collection import collection_of
from entrepot.compose.ports import keyring_of, open_ports
from entrepot.http import logs as logging_setup
from entrepot.http.logs import Logs
from entrepot.http.workers import Report, stop_with_parent
from entrepot.jobs import JobKind, Worker, audit_kind, collect_kind, rotate_kind, sweep_kind, trim_kind
from entrepot.metadata import (
    Database,
    DatabaseUnsuitable,
)
from entrepot.oci import StorageFull, Unavailable
from entrepot.settings import Settings
from entrepot.storage import BlobStore


def job_kinds(settings: Settings, database: Database, store: BlobStore) -> list[JobKind]:
    """Every kind of job there is."""
    collection = collection_of(settings, database, store)
    given = settings.gc
    kinds = [
        collect_kind(collection.collect_garbage, given.schedule),
        sweep_kind(collection.queue_unqueued, collection.trim_pulls, collection.sweep_store, given.sweep_schedule),
        rotate_kind(keyring_of(settings, database), settings.tokens.rotate_every),
        audit_kind(database, settings.audit.keep, settings.audit.rows_at_most),
    ]
    return [trim_kind(database, settings.jobs.history, [kind.name for kind in kinds if kind.schedule]), *kinds]


@asynccontextmanager
async def queue_of(settings: Settings) -> AsyncGenerator[tuple[Database, dict[str, JobKind]]]:
    """The database with its queue, and the kinds of jobs by name; raises DatabaseUnsuitable, Unavailable."""
    async with AsyncExitStack() as stack:
        database, store = open_ports(settings, stack)
        yield database, {kind.name: kind for kind in job_kinds(settings, database, store)}


def run_worker(settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
    """Run what is queued until SIGTERM or SIGINT, then hand back what is in progress; ``ready`` says that it begins.

    Raises DatabaseUnsuitable, Unavailable before that.
    """
    asyncio.run(_run_worker(settings, ready))


async def _run_worker(settings: Settings, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        database, store = open_ports(settings, stack)
        given = settings.jobs
        worker = Worker(
            database,
            job_kinds(settings, database, store),
            poll_interval=given.poll_interval,
            concurrency=given.concurrency,
            lease=given.lease,
        )
        ready()
        await worker.run(stop)


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """The life of a process that runs jobs beside a server; itself only values, so that it can be sent there."""

    settings: Settings
    logs: Logs

    def __call__(self, report: Report) -> None:
        """Run jobs until a signal, or until the server is gone."""
        stop_with_parent()
        logging_setup.configure(self.logs)
        try:
            run_worker(self.settings, report.ready)
        except (DatabaseUnsuitable, StorageFull, Unavailable) as error:
            report.failed(str(error))
