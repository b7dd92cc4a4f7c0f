"""Waiting for work in threads without ever leaving it behind."""

import asyncio
from typing import Any


async def settle(*futures: asyncio.Future[Any]) -> None:
    """Wait until all ``futures`` are done, however often the task is cancelled meanwhile.

    A thread cannot be interrupted, so whoever returned before it would let it write or hash behind the caller's
    back. Raises CancelledError afterwards if the task was cancelled; errors of the futures stay in them.
    """
    cancelled = False
    while running := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        for future in futures:
            if not future.cancelled():
                future.exception()  # looked at, or asyncio would complain that nobody did
        raise asyncio.CancelledError
