"""How much the clients are given to move."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """The amounts of one run."""

    rounds: int
    large_layer_mib: int
    layers: int
    layer_mib: int
    tags: int


SIZES: Final = {
    "quick": Size(rounds=3, large_layer_mib=1024, layers=20, layer_mib=10, tags=200),
    "smoke": Size(rounds=1, large_layer_mib=8, layers=3, layer_mib=1, tags=5),
}
