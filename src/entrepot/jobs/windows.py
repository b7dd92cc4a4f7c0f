"""When something may happen by itself: cron expressions, and the hours of the day that they are held to. All UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cronsim import CronSim, CronSimError

_DAY: Final = 24 * 60  # minutes
_DAYS_TRIED: Final = 1000  # times that an expression may miss the window before it is said never to hit it


class ScheduleInvalid(ValueError):
    """Not a cron expression, or one that never comes true within its window."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of every day from ``start`` until before ``end``, in minutes after midnight; may go over midnight."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.start < _DAY and 0 <= self.end < _DAY and self.start != self.end):
            message = "a window wants two different minutes of the day, 0 to 1439"
            raise ScheduleInvalid(message)

    def contains(self, instant: datetime) -> bool:
        """Whether the instant lies in the window."""
        minute = instant.hour * 60 + instant.minute
        return (minute - self.start) % _DAY < (self.end - self.start) % _DAY

    def opening_after(self, instant: datetime) -> datetime:
        """The next time that the window opens."""
        today = instant.replace(hour=self.start // 60, minute=self.start % 60, second=0, microsecond=0)
        return today if today > instant else today + timedelta(days=1)


def next_run(cron: str, window: Window | None, after: datetime) -> datetime:
    """The first time after ``after`` that the expression names and that lies in the window; raises ScheduleInvalid."""
    instant = after
    try:
        for _ in range(_DAYS_TRIED):
            instant = next(CronSim(cron, instant))
            if window is None or window.contains(instant):
                return instant
            instant = window.opening_after(instant) - timedelta(seconds=1)
    except (CronSimError, StopIteration) as error:
        message = f'"{cron}" is no cron expression that ever comes true: {error}'.removesuffix(": ")
        raise ScheduleInvalid(message) from error
    message = f'"{cron}" never comes true within its window'
    raise ScheduleInvalid(message)
