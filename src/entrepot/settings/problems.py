"""What is wrong with settings, in sentences that name the option and where its value came from."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from typing_extensions import override

_SHOWN_AT_MOST: Final = 80  # characters of a refused value


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the option, what about it, and where the value stands."""

    key: str
    sentence: str
    origin: str

    @override
    def __str__(self) -> str:
        return f"{self.key}: {self.sentence} ({self.origin})"


class SettingsError(Exception):
    """Settings cannot be used; its text has one line per problem and never a secret."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def unknown(name: str, origin: str, known: Iterable[str]) -> Problem:
    """The problem of a name that is no option, with the option that it resembles."""
    meant = get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return Problem(shown(name).strip("'"), f"unknown setting{hint}", origin)


def shown(value: object) -> str:
    """A bounded form of a refused value on one line."""
    text = repr(value)
    return text if len(text) <= _SHOWN_AT_MOST else f"{text[:_SHOWN_AT_MOST]}…"
