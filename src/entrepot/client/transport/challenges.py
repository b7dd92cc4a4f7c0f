"""Reading ``WWW-Authenticate`` (RFC 9110 section 11.6.1): several challenges in one field, quoted strings."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

CHARACTERS_AT_MOST: Final = 8192

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))', re.DOTALL)
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|$|(?=,))")
_SEPARATOR = re.compile(r"[ \t,]*")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a server offers."""

    scheme: str
    """In lower case: ``basic``, ``bearer``."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """The challenges of all fields in order; reading stops at what is none."""
    return [challenge for text in fields for challenge in _parse(text[:CHARACTERS_AT_MOST])]


def _parse(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = _after_separator(text, 0)
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if parameter is not None and found:
            name, quoted, plain = parameter.groups()
            value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain
            found[-1] = Challenge(found[-1].scheme, {**found[-1].parameters, name.lower(): value})
            position = _after_separator(text, parameter.end())
            continue
        scheme = _SCHEME.match(text, position)
        if scheme is None or parameter is not None:
            break
        found.append(Challenge(scheme[1].lower()))
        position = _after_separator(text, scheme.end())
    return found


def _after_separator(text: str, position: int) -> int:
    match = _SEPARATOR.match(text, position)
    assert match is not None
    return match.end()
