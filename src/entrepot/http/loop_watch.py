"""Whether the event loop comes back in time: what blocks it stops every request of the process."""

import asyncio
import logging
import time
from datetime import timedelta
from typing import Final

from entrepot.http.metrics import Metrics

LATE: Final = timedelta(milliseconds=100)

_EVERY = timedelta(milliseconds=25)

logger = logging.getLogger(__name__)


async def watch_loop(metrics: Metrics) -> None:
    """Count each time that the loop comes back more than ``LATE`` after it should have, until cancelled.

    It was ``busy`` when its own thread computed for so long; else it was kept ``waiting``, by a call that blocks or by
    a host that had no time for the process.
    """
    clock = asyncio.get_running_loop().time
    while True:
        due, computed = clock() + _EVERY.total_seconds(), time.thread_time()
        await asyncio.sleep(_EVERY.total_seconds())
        late = clock() - due
        if late > LATE.total_seconds():
            cause = "busy" if time.thread_time() - computed > LATE.total_seconds() else "waiting"
            metrics.loop_was_late(cause)
            logger.warning("the event loop was late", extra={"late_s": late, "cause": cause})
