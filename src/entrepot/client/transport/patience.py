"""How long a client waits and how often it tries again."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_RETRY_AFTER_DIGITS = 9  # seconds; more is never, and would not fit a timedelta
_JITTER: Final = 0.25

RETRIED_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 522, 524})


@dataclass(frozen=True, slots=True)
class Patience:
    """The bounds of waiting; a transfer that moves may take as long as it needs."""

    retries: int = 5
    """How often something is tried again after failures in a row without any progress."""
    first_pause: timedelta = timedelta(milliseconds=500)
    """The pause before the first of them; each next one is twice as long, and all vary by a quarter."""
    pause_at_most: timedelta = timedelta(seconds=30)
    wait_at_most: timedelta = timedelta(minutes=5)
    """How long a registry that limits requests is waited for (``Retry-After``)."""
    connect: timedelta = timedelta(seconds=15)
    idle: timedelta = timedelta(seconds=60)
    """How long a transfer may stand still."""
    answer: timedelta = timedelta(seconds=300)
    """How long a registry may take to answer to a whole blob: it may move it elsewhere first."""

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, at least one."""
        longest = self.pause_at_most.total_seconds()
        doubled: float = min(self.first_pause.total_seconds() * 2.0 ** min(failures - 1, 32), longest)
        return doubled * random.uniform(1 - _JITTER, 1 + _JITTER)  # ruff: ignore[suspicious-non-cryptographic-random-usage]  it spreads requests


def retry_after_of(headers: Mapping[str, str]) -> timedelta | None:
    """``Retry-After`` in seconds or as a date, by the server's clock if it tells it (RFC 9110 section 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:_RETRY_AFTER_DIGITS]))
    until = _date(text)
    if until is None:
        return None
    now = _date(headers.get("Date", "")) or datetime.now(UTC)
    return max(until - now, timedelta(0))


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


class Pauses:
    """Hosts that asked for patience: nothing is sent to them until then, by any task."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def pause(self, authority: str, seconds: float) -> None:
        """Send nothing to this host for so long."""
        until = asyncio.get_running_loop().time() + seconds
        self._until[authority] = max(until, self._until.get(authority, 0.0))

    async def wait(self, authority: str) -> None:
        """Return when the host may be asked."""
        loop = asyncio.get_running_loop()
        left = self._until.get(authority, 0.0) - loop.time()
        if left > 0:
            await asyncio.sleep(left)
            await self.wait(authority)
