"""The one writing thread of a process over SQLite, which commits several units of work at once."""

import asyncio
import contextlib
import queue
import random
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from entrepot.metadata.transaction import Transaction
from entrepot.oci import Unavailable

UNITS_AT_MOST = 64  # units in one commit: beyond that the disk's flush no longer counts
QUEUE_AT_MOST = 1024  # units that wait: some seconds of work; more means that the disk does not keep up
LOCK_PATIENCE = 10.0  # seconds a unit waits for other processes' writers

# Pauses between two attempts to get the lock, in seconds. SQLite's own waiting is unfair: its growing pauses let a busy
# process keep the lock from the others. Short random ones share it evenly; longer ones spare the processor later on.
_EAGER_PAUSE = (0.0002, 0.001)
_EAGER_ATTEMPTS = 200
_CALM_PAUSE = (0.001, 0.01)

T = TypeVar("T")


class WriteConnection(Protocol):
    """A connection that can carry a batch of units."""

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's connection, without transactions of its own."""
        ...

    def check(self) -> None:
        """Raise Unavailable if what is written here would be lost."""
        ...

    def begin_unit(self) -> Transaction:
        """A transaction for the next unit, at the host's present time."""
        ...

    def close(self) -> None:
        """Let go of the file; whatever was not committed is undone."""
        ...


class _Outcome(NamedTuple):
    value: Any
    error: BaseException | None


@dataclass(slots=True, eq=False)
class _Request:
    unit: Callable[[Transaction], Any]
    loop: asyncio.AbstractEventLoop
    waiter: asyncio.Future[Any]
    give_up_at: float


class _BatchBroken(Exception):
    """One unit's error has undone the whole transaction."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason


class GroupCommit:
    """Runs units one after the other on a thread of its own, up to 64 in one commit, each in a savepoint.

    A unit that raises undoes only itself. When a batch fails as a whole, its units are run again one by one. Answers
    leave only after the commit returned. ``translate`` makes a driver's error one of the registry's; a unit
    waits up to ``lock_patience`` seconds for writers of other processes.
    """

    def __init__(
        self,
        connect: Callable[[], WriteConnection],
        translate: Callable[[BaseException], BaseException],
        lock_patience: float = LOCK_PATIENCE,
    ) -> None:
        self._connect = connect
        self._translate = translate
        self._lock_patience = lock_patience
        self._connection: WriteConnection | None = None
        self._queue: queue.Queue[_Request | None] = queue.Queue(QUEUE_AT_MOST + 1)  # one more for the end
        self._closed = False
        self._ending = False
        self._thread = threading.Thread(target=self._serve, name="sqlite-write", daemon=True)
        self._thread.start()

    async def run(self, unit: Callable[[Transaction], T]) -> T:
        """Run a unit and return its value once it is durable; raises Unavailable at once if too many wait."""
        if self._closed:
            raise Unavailable(reason="closed")
        if self._queue.qsize() >= QUEUE_AT_MOST:
            raise Unavailable(reason="queue")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._queue.put_nowait(_Request(unit, loop, waiter, time.monotonic() + self._lock_patience))
        return await waiter

    async def close(self) -> None:
        """Finish what was asked for, refuse more, and end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while batch := self._next_batch():
            self._run(batch)
        self._disconnect()

    def _next_batch(self) -> list[_Request]:
        """What waits, up to a commit's worth; empty at the end."""
        batch: list[_Request] = []
        with contextlib.suppress(queue.Empty):
            while len(batch) < UNITS_AT_MOST and not self._ending:
                request = self._queue.get(block=not batch)
                if request is None:
                    self._ending = True
                else:
                    batch.append(request)
        return batch

    def _run(self, batch: list[_Request]) -> None:
        """Commit a batch and deliver its outcomes, one by one if it fails as a whole."""
        batch = [request for request in batch if not request.waiter.cancelled()]
        try:
            connection = self._connected()
            self._take_lock(connection.raw, batch)
            outcomes = [(request, _run_unit(connection, request.unit, self._translate)) for request in batch]
            if batch:
                connection.raw.execute("COMMIT")
        except BaseException as error:  # ruff: ignore[blind-except]  whatever it is, it belongs to those who wait
            self._disconnect()
            reason = error.reason if isinstance(error, _BatchBroken) else error
            if len(batch) == 1:
                _deliver([(batch[0], _Outcome(None, self._translate(reason)))])
            else:
                for request in batch:
                    self._run([request])
        else:
            _deliver(outcomes)

    def _connected(self) -> WriteConnection:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.check()
        return self._connection

    def _take_lock(self, raw: sqlite3.Connection, batch: list[_Request]) -> None:
        """Start the transaction as its writer; answers the units that have waited too long and leaves them out.

        When nobody is left, the connection is given up: a result that a unit leaked would keep it busy for ever.
        """
        attempts = 0
        while batch:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            else:
                return
            attempts += 1
            pause = _EAGER_PAUSE if attempts < _EAGER_ATTEMPTS else _CALM_PAUSE
            time.sleep(random.uniform(*pause))  # ruff: ignore[suspicious-non-cryptographic-random-usage]  no secret
            now = time.monotonic()
            if late := [request for request in batch if request.give_up_at <= now]:
                batch[:] = [request for request in batch if request.give_up_at > now]
                _deliver((request, _Outcome(None, Unavailable(reason="busy"))) for request in late)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _run_unit(
    connection: WriteConnection,
    unit: Callable[[Transaction], Any],
    translate: Callable[[BaseException], BaseException],
) -> _Outcome:
    raw = connection.raw
    raw.execute("SAVEPOINT unit")
    try:
        transaction = connection.begin_unit()
        value = unit(transaction)
        transaction.finish()
    except BaseException as error:  # whatever it is, it belongs to whoever waits for this unit
        if not raw.in_transaction:  # a full disk or a failed read ends the transaction of all
            raise _BatchBroken(error) from error
        raw.execute("ROLLBACK TO unit")
        raw.execute("RELEASE unit")
        return _Outcome(None, translate(error))
    raw.execute("RELEASE unit")
    return _Outcome(value, None)


def _deliver(outcomes: Iterable[tuple[_Request, _Outcome]]) -> None:
    """Hand outcomes to the event loops that wait for them, waking each loop once."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], _Outcome]]] = defaultdict(list)
    for request, outcome in outcomes:
        by_loop[request.loop].append((request.waiter, outcome))
    for loop, answers in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            loop.call_soon_threadsafe(_answer, answers)


def _answer(answers: Iterable[tuple[asyncio.Future[Any], _Outcome]]) -> None:
    for waiter, outcome in answers:
        if waiter.done():
            continue
        if outcome.error is None:
            waiter.set_result(outcome.value)
        elif isinstance(outcome.error, StopIteration):  # a future cannot carry it
            waiter.set_exception(RuntimeError("a unit of work raised StopIteration"))
        else:
            waiter.set_exception(outcome.error)
