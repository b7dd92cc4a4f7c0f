"""Which account, group or project is meant: by its name, or by its opaque id."""

from dataclasses import dataclass
from typing import TypeAlias

from typing_extensions import override

from entrepot.access.errors import VersionMismatch


@dataclass(frozen=True, slots=True)
class ById:
    """By its id, which is never used again."""

    uid: str

    @override
    def __str__(self) -> str:
        return self.uid


Which: TypeAlias = str | ById
"""A text is a name."""


def check_version(found: int, expected: int | None) -> None:
    """Go on only with the row that the caller has seen, None if that does not matter; raises VersionMismatch."""
    if expected is not None and found != expected:
        raise VersionMismatch(version=found, expected=expected)
