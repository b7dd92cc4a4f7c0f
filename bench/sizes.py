"""How much is measured: enough for figures, or just enough to see that everything still runs."""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Size:
    """The amounts of one run."""

    rounds: int
    seconds: float
    """How long each load of small requests lasts."""
    connections: tuple[int, int]
    """How many make small requests at a time, first few and then many."""
    large_blob_bytes: int
    small_blobs_per_pusher: int
    tags: int


SIZES: Final = {
    "quick": Size(
        rounds=3, seconds=1.2, connections=(1, 32), large_blob_bytes=GIB, small_blobs_per_pusher=8, tags=2000
    ),
    "smoke": Size(
        rounds=1, seconds=0.1, connections=(1, 4), large_blob_bytes=8 * MIB, small_blobs_per_pusher=1, tags=40
    ),
}
