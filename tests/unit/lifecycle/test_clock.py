from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.lifecycle import DatabaseClock, HostClock

START = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
TOLERANCE = timedelta(seconds=2)  # a smaller step counts as drift


class Host:
    """A host whose clock can be set, and a HostClock on it that is asked after every change."""

    def __init__(self) -> None:
        self.passed = timedelta(0)
        self.offset = timedelta(0)
        self._clock = HostClock(LONGEST, lambda: 1000 + self.passed.total_seconds())
        self.steady()

    @property
    def wall(self) -> datetime:
        """What the host's clock shows."""
        return START + self.passed + self.offset

    def steady(self) -> datetime:
        """Up to when promised times count as over."""
        return self._clock.steady(self.wall)

    def wait(self, time: timedelta) -> datetime:
        """Let time pass."""
        self.passed += time
        return self.steady()

    def set(self, by: timedelta) -> datetime:
        """Set the clock forward or back."""
        self.offset += by
        return self.steady()


def test_undisturbed_time_is_the_hosts() -> None:
    """As long as nobody sets the clock, time is what it shows."""
    host = Host()
    for hours in (1, 5, 100, 1000):
        assert host.wait(hours * HOUR) == host.wall


def test_a_clock_set_forward_ends_nothing_early() -> None:
    """An hour forward: time goes on from where it was."""
    host = Host()
    assert host.set(HOUR) == START
    assert host.wait(10 * SECOND) == START + 10 * SECOND
    assert host.wait(LONGEST - 10 * SECOND) == START + LONGEST


def test_a_clock_set_back_is_believed() -> None:
    """An hour back: promises end later by that hour."""
    host = Host()
    assert host.set(-HOUR) == START - HOUR
    assert host.wait(2 * HOUR) == START + HOUR


def test_back_and_forward_again_ends_nothing_early() -> None:
    """What was promised while the clock was behind does not end when it is put right."""
    host = Host()
    host.set(-HOUR)
    promised = host.wall + timedelta(minutes=10)
    assert host.set(HOUR) < promised
    assert host.wait(timedelta(minutes=9)) < promised
    assert host.wait(timedelta(minutes=1)) >= promised


def test_forward_and_back_again_is_as_before() -> None:
    """A clock that was ahead for a while and is right again is believed at once."""
    host = Host()
    host.set(HOUR)
    host.wait(timedelta(minutes=5))
    assert host.set(-HOUR) == host.wall
    assert host.wait(HOUR) == host.wall


def test_drift_is_followed() -> None:
    """A second more or less between two looks is no jump."""
    host = Host()
    for number in range(100):
        host.passed += HOUR
        assert host.set(SECOND if number % 3 else -SECOND) == host.wall


def test_the_lag_ends_when_nothing_promised_before_lasts() -> None:
    """After the longest time that can be promised, the clock is believed again."""
    host = Host()
    host.set(HOUR)
    assert host.wait(LONGEST) == host.wall - HOUR
    assert host.wait(SECOND) == host.wall


def test_a_second_jump_is_a_jump_of_its_own() -> None:
    """What was promised between two jumps ends no earlier for the first one's lag being over."""
    host = Host()
    host.set(HOUR)
    host.wait(LONGEST / 2)
    promised = host.wall + LONGEST
    host.set(20 * HOUR)
    assert host.wait(LONGEST / 2 + SECOND) < promised
    assert host.wait(LONGEST / 2) >= promised


def test_jumps_again_and_again_do_not_stop_time() -> None:
    """A clock that jumps every day still lets everything end, later by the jumps of one longest time."""
    host = Host()
    for _ in range(50):
        host.wait(LONGEST)
        host.set(HOUR)
    assert host.steady() >= host.wall - 2 * HOUR


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 30 * 3600)),
        st.tuples(st.just("set"), st.integers(-30 * 3600, 30 * 3600).filter(lambda seconds: abs(seconds) != 2)),
        st.tuples(st.just("promise"), st.integers(1, 24 * 3600)),
    ),
    max_size=25,
)


@given(steps)
def test_nothing_is_over_before_its_time(taken: list[tuple[str, int]]) -> None:
    """However the clock is set, whatever was promised for so many seconds is not over before those have passed."""
    host = Host()
    promises: list[tuple[timedelta, datetime]] = []
    drifted = timedelta(0)
    for step, seconds in taken:
        time = timedelta(seconds=seconds)
        if step == "wait":
            host.wait(time)
        elif step == "set":
            drifted += time if timedelta(0) < time <= TOLERANCE else timedelta(0)
            host.set(time)
        else:
            promises.append((host.passed + time, host.wall + time))
        now = host.steady()
        assert now <= host.wall
        for ends, promised in promises:
            if host.passed < ends - drifted:
                assert now < promised


@pytest.mark.parametrize("by", [-HOUR, timedelta(0), HOUR])
def test_a_servers_clock_is_believed(by: timedelta) -> None:
    """Nobody on this host sets the database server's clock."""
    clock = DatabaseClock()
    clock.steady(START)
    assert clock.steady(START + by) == START + by
