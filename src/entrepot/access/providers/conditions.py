"""Which workloads a binding means: conditions on the claims of their tokens, decided on values alone."""

from collections.abc import Mapping
from typing import Final

from entrepot.oci import RequestInvalid

CONDITIONS_AT_MOST: Final = 32
CLAIM_CHARACTERS_AT_MOST: Final = 255
PATTERN_CHARACTERS_AT_MOST: Final = 1024


def check_conditions(conditions: Mapping[str, str]) -> None:
    """Refuse conditions that could not be meant; raises RequestInvalid.

    ``reason`` is ``conditions`` (none at all, or more than 32), ``claim`` (an empty or overlong name) or ``pattern``
    (empty, overlong, or a ``*`` that is not at the end).
    """
    if not 0 < len(conditions) <= CONDITIONS_AT_MOST:
        raise RequestInvalid(reason="conditions", at_most=CONDITIONS_AT_MOST)
    for claim, pattern in conditions.items():
        if not 0 < len(claim) <= CLAIM_CHARACTERS_AT_MOST:
            raise RequestInvalid(reason="claim", characters_at_most=CLAIM_CHARACTERS_AT_MOST)
        if not _is_pattern(pattern):
            raise RequestInvalid(reason="pattern", claim=claim, characters_at_most=PATTERN_CHARACTERS_AT_MOST)


def conditions_hold(conditions: Mapping[str, str], claims: Mapping[str, str]) -> bool:
    """Whether every condition holds; with none nothing does.

    A pattern is the whole value, or its beginning and then ``*`` (anything without a slash, perhaps nothing) or ``**``
    (anything). A claim that is missing holds no condition, nor does a pattern that ``check_conditions`` refuses.
    """
    return bool(conditions) and all(
        claim in claims and _matches(pattern, claims[claim]) for claim, pattern in conditions.items()
    )


def _is_pattern(pattern: str) -> bool:
    literal, stars = _split(pattern)
    return 0 < len(pattern) <= PATTERN_CHARACTERS_AT_MOST and "*" not in literal and stars in {"", "*", "**"}


def _split(pattern: str) -> tuple[str, str]:
    literal = pattern.rstrip("*")
    return literal, pattern[len(literal) :]


def _matches(pattern: str, value: str) -> bool:
    if not _is_pattern(pattern):
        return False
    literal, stars = _split(pattern)
    if not stars:
        return value == literal
    rest = value[len(literal) :]
    return value.startswith(literal) and (stars == "**" or "/" not in rest)
