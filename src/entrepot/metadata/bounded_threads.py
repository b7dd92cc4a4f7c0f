"""Threads for calls that block, with a bound on those that wait."""

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from entrepot.oci import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class BoundedThreads:
    """A few threads of an adapter's own; calls beyond ``calls_at_most``, running or waiting, raise Unavailable."""

    def __init__(self, threads: int, calls_at_most: int, name: str) -> None:
        self._executor = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = threading.BoundedSemaphore(calls_at_most)
        self._calls: set[concurrent.futures.Future[Any]] = set()
        self._closed = False

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call the function on a thread. A caller that is cancelled leaves it running to its end."""
        if self._closed:
            raise Unavailable(reason="closed")
        if not self._places.acquire(blocking=False):
            raise Unavailable(reason="queue")
        call = self._executor.submit(functools.partial(function, *arguments, **named))
        self._calls.add(call)
        call.add_done_callback(self._finished)
        return await asyncio.wrap_future(call)

    async def close(self, patience: float) -> bool:
        """Refuse further calls and wait up to ``patience`` seconds for those under way; whether all have ended."""
        self._closed = True
        calls = list(self._calls)
        if calls:
            await asyncio.to_thread(concurrent.futures.wait, calls, patience)
        self._executor.shutdown(wait=False, cancel_futures=True)
        return all(call.done() for call in calls)

    def _finished(self, call: concurrent.futures.Future[Any]) -> None:
        self._calls.discard(call)
        self._places.release()
