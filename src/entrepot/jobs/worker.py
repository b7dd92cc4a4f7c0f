"""The worker: takes jobs that are due from the queue and runs a few of them at a time."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from datetime import timedelta
from random import SystemRandom
from typing import Final

from entrepot.jobs.attempt import Attempt
from entrepot.jobs.kinds import JobKind
from entrepot.jobs.schedules import enqueue_due, ensure_schedules
from entrepot.metadata import Claim, Database, Transaction, claim_job, due_schedules, work_is_waiting

logger = logging.getLogger(__name__)

_ANSWER_PATIENCE: Final = 30.0  # seconds for one unit of work of the queue
_PAUSE_AT_MOST: Final = 30.0  # seconds between two tries while the database does not answer

_random = SystemRandom()


class Worker:
    """Runs the jobs of some kinds, as one of any number of workers over the same database.

    ``lease`` is how long after this worker was last heard of others may begin its jobs. Looking for work when there is
    none is a read.
    """

    def __init__(
        self,
        database: Database,
        kinds: Sequence[JobKind],
        *,
        poll_interval: timedelta,
        concurrency: int,
        lease: timedelta,
    ) -> None:
        self.runner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._database = database
        self._kinds = {kind.name: kind for kind in kinds}
        self._leases = {kind.name: kind.lease or lease for kind in kinds}
        self._poll_seconds = poll_interval.total_seconds()
        self._concurrency = concurrency
        self._scheduled = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; jobs in progress then are ended and queued again, for others to begin at once.

        A database that does not answer is asked again, ever more seldom.
        """
        logger.info("worker begins", extra={"runner": self.runner, "kinds": list(self._kinds)})
        running: set[asyncio.Task[None]] = set()
        failures = 0
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(stop.wait())
            while not stop.is_set():
                pause: float | None = None
                if len(running) < self._concurrency:
                    try:
                        async with asyncio.timeout(_ANSWER_PATIENCE):
                            attempt = await self._take()
                    except Exception as error:
                        failures += 1
                        pause = _spread(min(self._poll_seconds * 2.0 ** min(failures, 30), _PAUSE_AT_MOST))
                        logger.warning("queue not read", exc_info=error, extra={"failures": failures})
                    else:
                        failures = 0
                        pause = _spread(self._poll_seconds)
                        if attempt is not None:
                            running.add(group.create_task(attempt.perform(stop)))
                            continue
                await asyncio.wait({stopping, *running}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                running = {task for task in running if not task.done()}

    async def _take(self) -> Attempt | None:
        """Enqueue what is due by schedule, and claim a job."""
        if not self._scheduled:
            await self._database.write(lambda tx: ensure_schedules(tx, self._kinds.values()))
            self._scheduled = True
        if not await self._database.read(self._something_is_due):
            return None
        asked_at = asyncio.get_running_loop().time()
        claim = await self._database.write(self._claim)
        if claim is None:
            return None
        return Attempt(self._database, self._kinds[claim.kind], claim, self._leases[claim.kind], asked_at)

    def _something_is_due(self, tx: Transaction) -> bool:
        return work_is_waiting(tx, list(self._kinds)) or bool(due_schedules(tx, self._kinds))

    def _claim(self, tx: Transaction) -> Claim | None:
        enqueue_due(tx, self._kinds)
        return claim_job(tx, self.runner, self._leases)


def _spread(seconds: float) -> float:
    """About so long: workers that began together do not ask together."""
    return seconds * _random.uniform(0.5, 1.5)
