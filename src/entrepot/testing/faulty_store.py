"""A blob store that fails, waits or dies where a test says, wrapped round a real one."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from entrepot.storage import BlobStore

Piece = TypeVar("Piece", bytes, str)


class Step(StrEnum):
    """The methods of the port."""

    APPEND = "append"
    SYNC = "sync"
    READ = "read"
    SIZE = "size"
    DELETE = "delete"
    KEYS = "keys"
    PROBE = "probe"


class Moment(StrEnum):
    """When within a call the fault strikes.

    ``MIDWAY``, only for append, read and keys, is when the second chunk, piece or key is asked for, or the end if
    there is but one. ``AFTER`` is when all is done and only the answer gets lost.
    """

    BEFORE = "before"
    MIDWAY = "midway"
    AFTER = "after"


class Hold:
    """A call that waits: ``reached`` tells that it got there, ``let_go`` lets it go on."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._free = asyncio.Event()

    async def reached(self) -> None:
        """Wait until the call has come to the fault."""
        await self._reached.wait()

    def let_go(self) -> None:
        """Let the call go on, and later ones pass."""
        self._free.set()

    async def strike(self) -> None:
        """Stand here until let go."""
        self._reached.set()
        await self._free.wait()


@dataclass(slots=True)
class _Fault:
    step: Step
    moment: Moment
    calls_to_come: int | None
    strike: Callable[[], Awaitable[None]]


class FaultyBlobStore:
    """``store`` with faults; without any it behaves as ``store`` does.

    A fault strikes at the ``call``-th call of its step, counted from when it was planted (1 is the next one), or at
    every call when ``call`` is None. ``calls`` counts the calls of each step from the beginning.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._faults: list[_Fault] = []
        self.calls: Counter[Step] = Counter()

    def fail(self, step: Step, error: BaseException, *, call: int | None = 1, moment: Moment = Moment.BEFORE) -> None:
        """Raise ``error``. Midway in an append it comes from the chunks, so the store keeps the bytes before."""

        async def strike() -> None:  # ruff: ignore[unused-async]  as a hold has to wait, all strikes are awaited
            raise error

        self._plant(step, call, moment, strike)

    def hold(self, step: Step, *, call: int | None = 1, moment: Moment = Moment.BEFORE) -> Hold:
        """Let the call wait until the returned hold is let go."""
        hold = Hold()
        self._plant(step, call, moment, hold.strike)
        return hold

    def kill(self, step: Step, *, call: int | None = 1, moment: Moment = Moment.BEFORE) -> None:
        """End this process with SIGKILL, as the kernel does when memory runs out."""

        async def strike() -> None:  # ruff: ignore[unused-async]  likewise
            os.kill(os.getpid(), signal.SIGKILL)

        self._plant(step, call, moment, strike)

    def mend(self) -> None:
        """Take all faults away; calls that wait go on waiting for their hold."""
        self._faults.clear()

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Append, with faults."""
        due = self._due(Step.APPEND)
        await _strike(due, Moment.BEFORE)
        length = await self._store.append(key, offset, _struck_midway(chunks, due))
        await _strike(due, Moment.AFTER)
        return length

    async def sync(self, key: str) -> None:
        """Sync, with faults."""
        due = self._due(Step.SYNC)
        await _strike(due, Moment.BEFORE)
        await self._store.sync(key)
        await _strike(due, Moment.AFTER)

    async def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Read, with faults."""
        due = self._due(Step.READ)
        await _strike(due, Moment.BEFORE)
        pieces = self._store.read(key, start, stop)
        try:
            async for piece in _struck_midway(pieces, due):
                yield piece
        finally:
            await pieces.aclose()
        await _strike(due, Moment.AFTER)

    async def size(self, key: str) -> int:
        """Tell the size, with faults."""
        due = self._due(Step.SIZE)
        await _strike(due, Moment.BEFORE)
        size = await self._store.size(key)
        await _strike(due, Moment.AFTER)
        return size

    async def delete(self, key: str) -> None:
        """Delete, with faults."""
        due = self._due(Step.DELETE)
        await _strike(due, Moment.BEFORE)
        await self._store.delete(key)
        await _strike(due, Moment.AFTER)

    async def keys(self) -> AsyncGenerator[str, None]:
        """List, with faults."""
        due = self._due(Step.KEYS)
        await _strike(due, Moment.BEFORE)
        keys = self._store.keys()
        try:
            async for key in _struck_midway(keys, due):
                yield key
        finally:
            await keys.aclose()
        await _strike(due, Moment.AFTER)

    async def probe(self) -> None:
        """Probe, with faults."""
        due = self._due(Step.PROBE)
        await _strike(due, Moment.BEFORE)
        await self._store.probe()
        await _strike(due, Moment.AFTER)

    def _plant(self, step: Step, call: int | None, moment: Moment, strike: Callable[[], Awaitable[None]]) -> None:
        if moment is Moment.MIDWAY and step not in {Step.APPEND, Step.READ, Step.KEYS}:
            raise ValueError(f"{step} has no middle")
        if call is not None and call < 1:
            raise ValueError("calls are counted from 1")
        self._faults.append(_Fault(step, moment, call, strike))

    def _due(self, step: Step) -> list[_Fault]:
        self.calls[step] += 1
        due: list[_Fault] = []
        for fault in [fault for fault in self._faults if fault.step is step]:
            if fault.calls_to_come is not None:
                fault.calls_to_come -= 1
            if not fault.calls_to_come:
                due.append(fault)
            if fault.calls_to_come == 0:
                self._faults.remove(fault)
        return due


async def _strike(due: list[_Fault], moment: Moment) -> None:
    for fault in due:
        if fault.moment is moment:
            await fault.strike()


async def _struck_midway(pieces: AsyncIterator[Piece], due: list[_Fault]) -> AsyncGenerator[Piece, None]:
    is_first = True
    async for piece in pieces:
        yield piece
        if is_first:
            is_first = False
            await _strike(due, Moment.MIDWAY)
