"""Time that does not run early when somebody sets the host's clock."""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

_TOLERANCE = timedelta(seconds=2)  # less is drift, which time synchronisation evens out
_BOOTTIME: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux has the former


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


def seconds_since_boot() -> float:
    """A clock that nobody sets and that goes on while the host sleeps, where the system has one."""
    return time.clock_gettime(_BOOTTIME)


class HostClock:
    """The host's clock, held against one that only runs forward.

    When the clock is set forward, time goes on from where it was, as long as anything promised before may last
    (``longest``): nothing ends early, and what is promised meanwhile ends later by the jump. When it is set back, time
    is what the clock says. Each jump is waited out by itself. ``monotonic`` gives seconds.
    """

    def __init__(self, longest: timedelta, monotonic: Callable[[], float] = seconds_since_boot) -> None:
        self._longest = longest.total_seconds()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: tuple[datetime, float] | None = None
        self._jumps: deque[tuple[timedelta, float]] = deque()  # by how much, and when; the oldest first

    def steady(self, now: datetime) -> datetime:
        """``now`` without the jumps forward that are not waited out yet."""
        with self._lock:
            ticks = self._monotonic()
            if self._last is not None:
                then, ticks_then = self._last
                self._note(now - then - timedelta(seconds=ticks - ticks_then), ticks)
            self._last = now, ticks
            while self._jumps and ticks - self._jumps[0][1] > self._longest:
                self._jumps.popleft()
            return now - sum((jump for jump, _ in self._jumps), timedelta(0))

    def _note(self, step: timedelta, ticks: float) -> None:
        """Add a jump forward; a step back takes as much from the jumps, the newest first."""
        if step > _TOLERANCE:
            self._jumps.append((step, ticks))
        while self._jumps and step < -_TOLERANCE:
            jump, at = self._jumps.pop()
            if jump + step > timedelta(0):
                self._jumps.append((jump + step, at))
            step = min(step + jump, timedelta(0))
