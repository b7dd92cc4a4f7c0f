from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.settings.quantities import (
    WANTS_DURATION,
    WANTS_SIZE,
    parse_duration,
    parse_size,
    render_duration,
    render_size,
)

DURATIONS = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=100_000))
SIZES = st.integers(min_value=0, max_value=2**53)


@given(DURATIONS)
def test_rendered_durations_read_back(duration: timedelta) -> None:
    """Whatever duration is written, the same one is read."""
    assert parse_duration(render_duration(duration)) == duration


@given(SIZES)
def test_rendered_sizes_read_back(size: int) -> None:
    """Whatever size is written, the same one is read."""
    assert parse_size(render_size(size)) == size


@given(st.text(alphabet="0123456789dhmsu iKMGTBk.-+e٣", max_size=12))
def test_durations_are_read_or_refused_with_an_example(text: str) -> None:
    """Reading a duration gives one that is not negative, or says what one looks like."""
    try:
        duration = parse_duration(text)
    except ValueError as error:
        said = str(error)
    else:
        said = WANTS_DURATION
        assert duration >= timedelta()
    assert said == WANTS_DURATION


@given(st.text(alphabet="0123456789dhmsu iKMGTBk.-+e٣", max_size=12))
def test_sizes_are_read_or_refused_with_an_example(text: str) -> None:
    """Reading a size gives one that is not negative, or says what one looks like."""
    try:
        size = parse_size(text)
    except ValueError as error:
        said = str(error)
    else:
        said = WANTS_SIZE
        assert size >= 0
    assert said == WANTS_SIZE


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("90m", timedelta(hours=1, minutes=30)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("250ms", timedelta(milliseconds=250)),
        ("0s", timedelta()),
    ],
)
def test_durations_as_people_write_them(text: str, duration: timedelta) -> None:
    """Units are days, hours, minutes, seconds and less, in falling order."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "1m1h", "-5s", "1.5h", "5M", "1h1h", "999999999999d", "1s\n"])
def test_what_is_no_duration(text: str) -> None:
    """A number without a unit, a fraction, a sign, units out of order or beyond all bounds are refused."""
    with pytest.raises(ValueError, match="wants a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=1), "24h"),
        (timedelta(days=2), "2d"),
        (timedelta(minutes=5), "5m"),
        (timedelta(seconds=75), "75s"),
        (timedelta(), "0s"),
        (timedelta(microseconds=1), "1us"),
    ],
)
def test_durations_are_written_in_their_largest_unit(duration: timedelta, text: str) -> None:
    """One day is written as 24h, longer whole days in days."""
    assert render_duration(duration) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 64 << 20), ("1GB", 10**9), ("32 KiB", 32 << 10), ("512", 512), ("0B", 0), ("1TiB", 1 << 40)],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    """Binary and decimal units differ; a number alone counts bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "64mib", "64M", "-1B", "1.5GiB", "64MiB ", "64  MiB"])
def test_what_is_no_size(text: str) -> None:
    """Units that could mean two things, fractions and signs are refused."""
    with pytest.raises(ValueError, match="wants a size"):
        parse_size(text)
