from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.jobs import JobKind, JobRun, ScheduleInvalid, Window, next_run

NOON = datetime(2024, 2, 28, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

instants = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # ruff: ignore[call-datetime-without-tzinfo]  hypothesis adds it
minutes = st.integers(0, 1439)


async def nothing(run: JobRun) -> None:
    """A job with nothing to do."""


@pytest.mark.parametrize(
    ("cron", "window", "expected"),
    [
        ("* * * * *", None, NOON + MINUTE),
        ("0 12 * * *", None, NOON + timedelta(days=1)),
        ("0 0 29 2 *", None, datetime(2024, 2, 29, tzinfo=UTC)),
        ("30 * * * *", Window(60, 120), datetime(2024, 2, 29, 1, 30, tzinfo=UTC)),
        ("* * * * *", Window(60, 61), datetime(2024, 2, 29, 1, 0, tzinfo=UTC)),
        ("0 * * * *", Window(1380, 60), datetime(2024, 2, 28, 23, 0, tzinfo=UTC)),
        ("0 0 * * *", Window(1380, 60), datetime(2024, 2, 29, 0, 0, tzinfo=UTC)),
        ("0 3 * * SUN", Window(120, 300), datetime(2024, 3, 3, 3, 0, tzinfo=UTC)),
    ],
)
def test_the_next_run(cron: str, window: Window | None, expected: datetime) -> None:
    """The next time is after the given one, as the expression says, in the window if there is one."""
    assert next_run(cron, window, NOON) == expected


@pytest.mark.parametrize(
    ("cron", "window"),
    [("", None), ("* * * *", None), ("61 * * * *", None), ("0 0 31 2 *", None), ("0 12 * * *", Window(60, 120))],
)
def test_what_never_comes_is_refused(cron: str, window: Window | None) -> None:
    """What is no expression, or never comes true, is refused when the kind is made, not when it is due."""
    with pytest.raises(ScheduleInvalid):
        JobKind("work", nothing, schedule=cron, window=window)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (-1, 5), (5, 1440)])
def test_a_window_is_two_minutes_of_a_day(start: int, end: int) -> None:
    """Bounds outside the day, and a window of no or of all time, are refused."""
    with pytest.raises(ScheduleInvalid):
        Window(start, end)


def test_a_window_needs_a_schedule() -> None:
    """A window without a schedule would hold back nothing, and is refused."""
    with pytest.raises(ScheduleInvalid, match="goes with a schedule"):
        JobKind("work", nothing, window=Window(0, 60))


@given(instants, minutes, minutes)
def test_a_window_opens_once_a_day(instant: datetime, start: int, end: int) -> None:
    """From its opening, which is within a day, a window holds for exactly its length."""
    if start == end:
        return
    window = Window(start, end)
    opening = window.opening_after(instant)
    length = timedelta(minutes=(end - start) % 1440)
    assert instant < opening <= instant + timedelta(days=1)
    assert window.contains(opening)
    assert not window.contains(opening - MINUTE)
    assert window.contains(opening + length - MINUTE)
    assert not window.contains(opening + length)


@given(instants, minutes, minutes)
def test_runs_are_later_and_in_the_window(instant: datetime, start: int, end: int) -> None:
    """Whatever the window, each run is after the last and inside it."""
    window = None if start == end else Window(start, end)
    first = next_run("*/7 * * * *" if window is None else "* * * * *", window, instant)
    second = next_run("* * * * *", window, first)
    assert instant < first < second
    assert window is None or (window.contains(first) and window.contains(second))
