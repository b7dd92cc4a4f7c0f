"""Whether the event loop comes back in time: what blocks it stops every request of the process."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from entrepot.http.metrics import Metrics

LATE: Final = timedelta(milliseconds=100)

_EVERY = timedelta(milliseconds=25)

logger = logging.getLogger(__name__)


async def watch_loop(metrics: Metrics) -> None:
    """Count each time that the loop comes back more than ``LATE`` after it should have, until cancelled.

    A host that has no time for the process makes it late, too.
    """
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + _EVERY.total_seconds()
        await asyncio.sleep(_EVERY.total_seconds())
        late = clock() - due
        if late > LATE.total_seconds():
            metrics.loop_was_late()
            logger.warning("the event loop was blocked, or the host had no time for it", extra={"late_s": late})
