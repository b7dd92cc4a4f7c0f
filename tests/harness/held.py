"""A transaction that tests keep open while something else runs beside it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from entrepot.metadata import Database, Transaction

WAIT = 30.0  # seconds after which a test that hangs fails
A_MOMENT = 0.3  # seconds in which what can run does; what waits for a lock is still waiting then


class Held:
    """A unit of work that waits before it commits."""

    def __init__(self, unit: Callable[[Transaction], Any]) -> None:
        self._unit = unit
        self._reached = threading.Event()
        self._free = threading.Event()

    def __call__(self, tx: Transaction) -> None:
        """Do the work, and wait."""
        self._unit(tx)
        self._reached.set()
        assert self._free.wait(WAIT)

    async def while_held(self, database: Database, other: Callable[[], Awaitable[Any]], *, ends: bool = False) -> None:
        """Begin ``other`` while this is not committed; with ``ends`` it has to end before the commit, too."""
        holding = asyncio.create_task(database.write(self))
        assert await asyncio.to_thread(self._reached.wait, WAIT)
        waiting = asyncio.ensure_future(other())
        await asyncio.wait({waiting}, timeout=WAIT / 3 if ends else A_MOMENT)
        was_done = waiting.done()
        self._free.set()
        await holding
        await waiting
        assert was_done or not ends
