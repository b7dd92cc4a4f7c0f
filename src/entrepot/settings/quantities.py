"""Durations and sizes as people write them: ``"24h"``, ``"64MiB"``."""

import re
from datetime import timedelta
from typing import Final

_CHARACTERS_AT_MOST = 64  # of a written quantity; far more than any sensible one has

_DURATION_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_PART = r"(?:([0-9]{{1,18}}){unit})?"
_DURATION = re.compile("".join(_PART.format(unit=unit) for unit in _DURATION_UNITS))

_BINARY_UNITS: Final = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_SIZE_UNITS: Final = _BINARY_UNITS | {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([0-9]{1,18}) ?([A-Za-z]{1,3})?")

WANTS_DURATION: Final = 'wants a duration such as "30s", "5m", "24h" or "7d"'
WANTS_SIZE: Final = 'wants a size such as "512B", "32KiB", "64MiB" or "1TiB"'
DURATION_PATTERN: Final = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?([0-9]+us)?$"
SIZE_PATTERN: Final = r"^[0-9]+ ?([KMGT]iB|[kMGT]B|B)?$"


def parse_duration(text: str) -> timedelta:
    """Read ``"7d"``, ``"1h30m"`` or ``"250ms"``, units in falling order; raises ValueError for anything else."""
    found = _DURATION.fullmatch(text) if 0 < len(text) <= _CHARACTERS_AT_MOST else None
    if found is None:
        raise ValueError(WANTS_DURATION)
    counts = zip(found.groups(), _DURATION_UNITS.values(), strict=True)
    try:
        return sum((int(count) * unit for count, unit in counts if count), timedelta())
    except OverflowError:
        raise ValueError(WANTS_DURATION) from None


def render_duration(duration: timedelta) -> str:
    """Write a duration, not negative, in the largest unit that divides it; ``parse_duration`` reads it back.

    One day reads ``"24h"``, as people say it; from two days on, whole days read ``"2d"``.
    """
    if not duration:
        return "0s"
    for name, unit in _DURATION_UNITS.items():
        count, rest = divmod(duration, unit)
        if not rest and not (name == "d" and count == 1):
            return f"{count}{name}"
    raise AssertionError  # a timedelta is a whole number of microseconds


def parse_size(text: str) -> int:
    """Read ``"64MiB"``, ``"1GB"`` or ``"512"`` as bytes (KiB is 1024, kB is 1000); raises ValueError for others."""
    found = _SIZE.fullmatch(text)
    unit = _SIZE_UNITS.get(found[2] or "B") if found else None
    if found is None or unit is None:
        raise ValueError(WANTS_SIZE)
    return int(found[1]) * unit


def render_size(size: int) -> str:
    """Write a number of bytes, not negative, in the largest binary unit that divides it."""
    for name, unit in _BINARY_UNITS.items():
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size}B"
