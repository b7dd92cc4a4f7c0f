"""Time that does not run early when somebody sets the host's clock."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

_TOLERANCE = timedelta(seconds=2)  # less is drift, which time synchronisation evens out


class Clock(Protocol):
    """The instant up to which promised times count as over."""

    def steady(self, now: datetime) -> datetime:
        """That instant, given the database's ``now``; never later than it."""
        ...


class DatabaseClock:
    """A database server's own time, which nobody on this host can set."""

    def steady(self, now: datetime) -> datetime:
        """The same instant."""
        return now


class HostClock:
    """The host's clock, held against one that only runs forward.

    When the clock is set forward, time goes on from where it was, as long as anything promised before may last
    (``longest``): nothing ends early, and what is promised meanwhile ends later by the jump. When it is set back, time
    is what the clock says. ``monotonic`` gives seconds.
    """

    def __init__(self, longest: timedelta, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: tuple[datetime, float] | None = None
        self._jumped_at: float | None = None

    def steady(self, now: datetime) -> datetime:
        """The earlier of ``now`` and the time that has passed since this clock was first asked."""
        with self._lock:
            ticks = self._monotonic()
            if self._since is None:
                self._since = now, ticks
                return now
            then, ticks_then = self._since
            expected = then + timedelta(seconds=ticks - ticks_then)
            if now <= expected + _TOLERANCE:
                self._since, self._jumped_at = (now, ticks), None
                return now
            if self._jumped_at is None:
                self._jumped_at = ticks
            if ticks - self._jumped_at > self._longest.total_seconds():
                self._since, self._jumped_at = (now, ticks), None
                return now
            return expected
