"""What a transfer tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from entrepot.oci import Descriptor


class Stage(StrEnum):
    """What happens to some content."""

    STARTED = "started"
    """It is to be moved; ``position`` is what is there already of an earlier attempt."""
    MOVED = "moved"
    """``position`` bytes of it are there."""
    EXISTS = "exists"
    """The target had it already."""
    MOUNTED = "mounted"
    """The registry took it from another of its repositories."""
    DONE = "done"
    """All of it is there, checked."""


@dataclass(frozen=True, slots=True)
class Event:
    """One step of one blob or manifest."""

    stage: Stage
    descriptor: Descriptor
    position: int = 0
    """Bytes, from the start."""


Progress: TypeAlias = Callable[[Event], None]
"""Is called on the event loop and must not wait."""


def silent(event: Event) -> None:
    """Tell nobody."""
    del event
