"""One attempt at a job: its task, what keeps its lease, and how it ends."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from random import SystemRandom
from typing import Final

from entrepot.jobs.kinds import FailedForGood, JobKind, JobRun
from entrepot.metadata import (
    Claim,
    Database,
    Standing,
    Transaction,
    cancel_job,
    extend_claim,
    fail_job,
    finish_job,
    hand_back_job,
    look_at_claim,
    record_progress,
)
from entrepot.oci import words_of

logger = logging.getLogger(__name__)

_LOOK_EVERY: Final = 1.0  # seconds after which a cancellation is heard of, and what the job said is written down
_RETRY_AT_MOST: Final = timedelta(hours=1)
_ENDING_PAUSE: Final = 0.2  # seconds before the end of a job is told again to a database that did not answer
_STOP_PATIENCE: Final = 5.0  # seconds for telling it when the worker stops; after that the lease runs out
_ERROR_LENGTH: Final = 2000

_random = SystemRandom()


class _Why(Enum):
    """Why the job's task was cancelled."""

    CANCELLED = "somebody asked for it"
    LOST = "another runner may have it"
    STOPPED = "the worker stops"


class Attempt:
    """Runs one claimed job to its end, whatever that is."""

    def __init__(self, database: Database, kind: JobKind, claim: Claim, lease: timedelta, claimed_at: float) -> None:
        """``claimed_at`` is the event loop's time before the claim was asked for."""
        self._database = database
        self._kind = kind
        self._claim = claim
        self._lease = lease.total_seconds()
        self._held_since = claimed_at
        self._run = JobRun(claim)
        self._why: _Why | None = None

    async def perform(self, stop: asyncio.Event) -> None:
        """Do the job, and write down how it ended; a job in progress when ``stop`` is set is handed back."""
        self._log("job begins")
        work = asyncio.create_task(self._work(), name=f"job {self._claim.job_id}")
        if stop.is_set():  # the stop came while the job was claimed: it is not begun here
            self._end(work, _Why.STOPPED)
        ended = asyncio.Event()
        keeper = asyncio.create_task(self._keep(work, ended))
        stopper = asyncio.create_task(self._stop(stop, work))
        try:
            await asyncio.wait([work])
        finally:
            work.cancel()
            await asyncio.wait([work])
            stopper.cancel()
            ended.set()
            await asyncio.wait([keeper, stopper])
        await self._conclude(work, stop)

    async def _work(self) -> None:
        limit = asyncio.timeout(self._kind.timeout.total_seconds())
        try:
            async with limit:
                await self._kind.run(self._run)
        except TimeoutError as error:
            if not limit.expired():
                raise
            message = f"not done within {self._kind.timeout}"
            raise TimeoutError(message) from error

    async def _stop(self, stop: asyncio.Event, work: asyncio.Task[None]) -> None:
        await stop.wait()
        self._end(work, _Why.STOPPED)

    async def _keep(self, work: asyncio.Task[None], ended: asyncio.Event) -> None:
        """Keep the lease until the work has ended; make it end when somebody wants that, or when the lease is lost."""
        clock = asyncio.get_running_loop().time
        while not await _came(ended, min(_LOOK_EVERY, self._lease / 4)):
            try:
                async with asyncio.timeout(self._lease / 4):
                    standing = await self._hear_and_tell()
            except Exception as error:  # ruff: ignore[blind-except]  whatever it was, the lease decides
                self._log("lease not kept", logging.WARNING, error=_words(error))
                if clock() - self._held_since < self._lease:
                    continue
                standing = Standing.LOST
            if standing is Standing.LOST:
                self._end(work, _Why.LOST)
                return
            if standing is Standing.CANCELLING:
                self._end(work, _Why.CANCELLED)

    async def _hear_and_tell(self) -> Standing:
        """Look whether the job is still ours; write only what the job said, or when a third of the lease is over."""
        now = asyncio.get_running_loop().time()
        progress, lines = self._run.take_notes()
        if progress is None and not lines and now - self._held_since < self._lease / 3:
            return await self._database.read(lambda tx: look_at_claim(tx, self._claim))
        lease = timedelta(seconds=self._lease)

        def telling(tx: Transaction) -> Standing:
            record_progress(tx, self._claim, progress, lines)
            return extend_claim(tx, self._claim, lease)

        try:
            standing = await self._database.write(telling)
        except BaseException:
            self._run.put_back(progress, lines)
            raise
        self._held_since = now
        return standing

    def _end(self, work: asyncio.Task[None], why: _Why) -> None:
        if self._why is None:
            self._why = why
            self._log("job is ended", reason=why.value)
            work.cancel()

    async def _conclude(self, work: asyncio.Task[None], stop: asyncio.Event) -> None:
        """Write down how the work ended, unless another runner has the job; a database that is away gets some time."""
        if self._why is _Why.LOST:
            self._log("job lost", logging.WARNING)
            return
        name, ending = self._ending_of(work)
        progress, lines = self._run.take_notes()

        def concluding(tx: Transaction) -> bool:
            return record_progress(tx, self._claim, progress, lines) and ending(tx)

        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            try:
                async with asyncio.timeout(_STOP_PATIENCE):
                    written = await self._database.write(concluding)
            except Exception as error:  # ruff: ignore[blind-except]  whatever it was, the lease decides
                patience = min(self._lease, _STOP_PATIENCE) if stop.is_set() else self._lease
                if clock() - began >= patience:
                    self._log("job's end not told", logging.ERROR, end=name, error=_words(error))
                    return
                await asyncio.sleep(_ENDING_PAUSE)
            else:
                self._log("job ended" if written else "job lost", end=name)
                return

    def _ending_of(self, work: asyncio.Task[None]) -> tuple[str, Callable[[Transaction], bool]]:
        claim = self._claim
        retry_after: timedelta | None = self._pause()
        if work.cancelled():
            if self._why is _Why.CANCELLED:
                return "cancelled", lambda tx: cancel_job(tx, claim)
            if self._why is _Why.STOPPED:
                return "handed back", lambda tx: hand_back_job(tx, claim)
            text = "the job cancelled itself"
        elif (error := work.exception()) is not None:
            text = _words(error)
            if isinstance(error, FailedForGood):
                retry_after = None
            logger.warning("job failed", exc_info=error, extra={"job": claim.job_id, "kind": claim.kind})
        else:
            return "done", lambda tx: finish_job(tx, claim)
        return "failed", lambda tx: fail_job(tx, claim, text, retry_after=retry_after)

    def _pause(self) -> timedelta:
        """Before the next attempt: doubled with each, and spread, so that what failed together does not return so."""
        doubled = self._kind.retry_after * 2.0 ** min(self._claim.attempt - 1, 30)
        return min(doubled, _RETRY_AT_MOST) * _random.uniform(0.5, 1.0)

    def _log(self, message: str, level: int = logging.INFO, **detail: object) -> None:
        claim = self._claim
        logger.log(level, message, extra={"job": claim.job_id, "kind": claim.kind, "attempt": claim.attempt, **detail})


async def _came(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event is set within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _words(error: BaseException) -> str:
    """An error in one line; of a failure for good, only what it says."""
    if isinstance(error, FailedForGood):
        return " ".join(str(error).split())[:_ERROR_LENGTH]
    return words_of(error, _ERROR_LENGTH)
