"""Patterns of repository names, as bindings and narrowed credentials have them."""

import re
from dataclasses import dataclass, field
from typing import Final, Self

from typing_extensions import override

from entrepot.oci import RequestInvalid

CHARACTERS_AT_MOST: Final = 255

_SHAPE = re.compile(r"[a-z0-9._/*-]+", re.ASCII)
_WILDCARDS = re.compile(r"\*+")
_EVERYTHING = "**"


class PatternInvalid(RequestInvalid):
    """No pattern of repository names; ``reason`` is ``characters``, ``length`` or ``wildcards``."""

    message = "a pattern of repositories is a name in which * stands for a part and ** for any number of parts"


@dataclass(frozen=True, slots=True)
class _Automaton:
    """Where a match may stand after some characters, as the bits of a number: one step for each character of a name.

    So the time is that of the name's length, whatever the pattern is. Bit ``n`` is the place behind ``n`` literal
    characters; ``steps`` are the places that a character leads to, the others the places that it may leave as they are.
    """

    steps: dict[str, int]
    anything: int
    within_segment: int
    end: int

    @classmethod
    def of(cls, text: str) -> Self:
        steps: dict[str, int] = {}
        anything = within_segment = place = 0
        for piece in re.split(r"(\*+)", text):
            if piece == _EVERYTHING:
                anything |= 1 << place
            elif piece == "*":
                within_segment |= 1 << place
            else:
                for character in piece:
                    place += 1
                    steps[character] = steps.get(character, 0) | 1 << place
        return cls(steps, anything, within_segment, 1 << place)

    def matches(self, name: str) -> bool:
        places = 1
        for character in name:
            stay = self.anything if character == "/" else self.anything | self.within_segment
            places = ((places << 1) & self.steps.get(character, 0)) | (places & stay)
        return bool(places & self.end)


@dataclass(frozen=True, slots=True)
class RepositoryPattern:
    """Whole names of repositories: ``*`` is anything within one segment, ``**`` anything at all.

    ``literal`` is what every matching name begins with.
    """

    text: str
    literal: str
    _automaton: _Automaton | None = field(compare=False, repr=False)
    """None for a literal that anything may follow."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern; raises PatternInvalid."""
        if len(text) > CHARACTERS_AT_MOST:
            raise PatternInvalid(reason="length", at_most=CHARACTERS_AT_MOST)
        if not _SHAPE.fullmatch(text):
            raise PatternInvalid(reason="characters")
        if any(len(found) > len(_EVERYTHING) for found in _WILDCARDS.findall(text)):
            raise PatternInvalid(reason="wildcards")
        literal = text.partition("*")[0]
        return cls(text, literal, None if text == literal + _EVERYTHING else _Automaton.of(text))

    def matches(self, name: str) -> bool:
        """Whether it is the pattern of this repository's name."""
        if not name.startswith(self.literal):
            return False
        return self._automaton is None or self._automaton.matches(name)

    def covers(self, prefix: str) -> bool:
        """Whether it matches every name that begins with ``prefix``."""
        return self._automaton is None and prefix.startswith(self.literal)

    @override
    def __str__(self) -> str:
        return self.text


EVERY_REPOSITORY: Final = RepositoryPattern.parse(_EVERYTHING)
