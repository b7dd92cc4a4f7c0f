"""Medians, spreads and ratios of the rounds."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from bench.registries import Name
from bench.rounds import Measured


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over the rounds, and between what they lie."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: list[float]) -> Self:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Side:
    """One scenario on one registry."""

    rate: Spread
    cpu: Spread
    peak_bytes: Spread
    p50_ms: Spread | None
    p99_ms: Spread | None


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario; the ratios, entrepot over distribution, are medians of the rounds' own ratios."""

    ours: Side
    theirs: Side | None
    rate_ratio: float | None
    cpu_ratio: float | None
    driver_cores: float
    """Of one core, how much the driver used while it drove the faster of the two; near 1 it is the limit."""


def summarise(measured: list[Measured], scenario: str) -> Row:
    """The figures of one scenario over all rounds."""
    ours, theirs = _rounds(measured, scenario, "entrepot"), _rounds(measured, scenario, "distribution")
    return Row(
        ours=_side(ours),
        theirs=_side(theirs) if theirs else None,
        rate_ratio=_ratio(ours, theirs, lambda done: done.rate),
        cpu_ratio=_ratio(ours, theirs, lambda done: done.cpu_seconds_per_unit),
        driver_cores=max(_driver_cores(side) for side in (ours, theirs) if side),
    )


def _rounds(measured: list[Measured], scenario: str, registry: Name) -> list[Measured]:
    return [done for done in measured if done.scenario == scenario and done.registry == registry]


def _side(rounds: list[Measured]) -> Side:
    p50 = [done.figures.p50_ms for done in rounds if done.figures.p50_ms is not None]
    p99 = [done.figures.p99_ms for done in rounds if done.figures.p99_ms is not None]
    return Side(
        rate=Spread.of([done.rate for done in rounds]),
        cpu=Spread.of([done.cpu_seconds_per_unit for done in rounds]),
        peak_bytes=Spread.of([float(done.peak_bytes) for done in rounds]),
        p50_ms=Spread.of(p50) if p50 else None,
        p99_ms=Spread.of(p99) if p99 else None,
    )


def _ratio(ours: list[Measured], theirs: list[Measured], figure: Callable[[Measured], float]) -> float | None:
    """None without the other side, or where its figure is below what the kernel counts (a hundredth of a second)."""
    pairs = [(figure(a), figure(b)) for a, b in zip(ours, theirs, strict=False)]
    if not pairs or any(b == 0 for _, b in pairs):
        return None
    return statistics.median(a / b for a, b in pairs)


def _driver_cores(rounds: list[Measured]) -> float:
    return statistics.median(done.figures.driver_cpu_seconds / done.figures.seconds for done in rounds)
