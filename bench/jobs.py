"""What the driver is told to do and what it tells afterwards, in JSON between two processes."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Job:
    """One load on one registry."""

    load: str
    """Its name in ``bench.loads``."""
    port: int
    authorization: str
    """Sent with every request unless it is empty."""
    repository: str
    seed: int
    method: str = "GET"
    connections: int = 1
    amount: float = 0
    """Seconds, bytes or pieces, as the load says."""

    def to_json(self) -> str:
        """The job as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The job that ``to_json`` wrote."""
        return cls(**json.loads(text))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": self.authorization} if self.authorization else {}


@dataclass(frozen=True, slots=True)
class Figures:
    """What the driver saw."""

    units: float
    """Requests, blobs, manifests or GiB that were done, all of them rightly."""
    seconds: float
    driver_cpu_seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None

    def to_json(self) -> str:
        """The figures as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The figures that ``to_json`` wrote."""
        return cls(**json.loads(text))


def quantile(sorted_values: list[float], share: float) -> float:
    """The value below which ``share`` of the others lie."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]
