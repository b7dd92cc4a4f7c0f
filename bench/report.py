"""The results: raw as JSON, and as tables in the documentation, between two markers."""

import json
from pathlib import Path
from typing import Any, Final

from bench.errors import BenchFailed
from bench.rounds import Measured
from bench.scenarios import Scenario
from bench.summary import Row, Side, Spread, summarise
from bench.words import Words

BEGIN: Final = "<!-- begin: written by `make bench-quick` -->"
END: Final = "<!-- end -->"
_NOTHING: Final = "–"


def results(about: dict[str, Any], measured: list[dict[str, Any]]) -> str:
    """Everything, as JSON with one line for each measurement."""
    head = json.dumps(about, indent=1, ensure_ascii=False).removesuffix("\n}")
    rows = ",\n".join("  " + json.dumps(row) for row in measured)
    return f'{head},\n "measurements": [\n{rows}\n ]\n}}\n'


def tables(about: dict[str, Any], listed: list[Scenario], measured: list[Measured], words: Words) -> str:
    """Where and with what, a table of speeds and a table of costs."""
    facts = {**about["machine"], **about["versions"], "rounds": about["settings"]["rounds"]}
    rows = [(scenario, summarise(measured, scenario.key)) for scenario in listed]
    speed = [_speed(scenario, row, words) for scenario, row in rows]
    cost = [_cost(scenario, row, words) for scenario, row in rows]
    return "\n\n".join([words.machine.format(**facts), table(words.speed, speed), table(words.cost, cost)])


def replace_section(page: Path, section: str, beginning: str = BEGIN) -> None:
    """Put ``section`` between the markers of a page; BenchFailed when it has none."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(beginning)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise BenchFailed(f"{page.name}: the markers of the tables are missing")
    page.write_text(f"{before}{beginning}\n\n{section}\n\n{END}{after}", encoding="utf-8")


def table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A Markdown table, whose cells but the first of each row are figures."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [list(head), rule, *rows])


def _speed(scenario: Scenario, row: Row, words: Words) -> list[str]:
    unit = f"{words.units[scenario.unit]}/s"
    return [
        words.title(scenario),
        _spread(row.ours.rate, unit),
        _spread(row.theirs.rate, unit) if row.theirs else _NOTHING,
        _ratio(row.rate_ratio),
        _latency(row.ours),
        _latency(row.theirs),
    ]


def _cost(scenario: Scenario, row: Row, words: Words) -> list[str]:
    # Milliseconds for what is small, seconds for a GiB.
    factor, unit = (1, "s/GiB") if scenario.unit == "GiB" else (1000, f"ms/{words.units[scenario.unit]}")
    return [
        words.title(scenario),
        _spread(row.ours.cpu, unit, factor),
        _spread(row.theirs.cpu, unit, factor) if row.theirs else _NOTHING,
        _ratio(row.cpu_ratio),
        _mebibytes(row.ours),
        _mebibytes(row.theirs),
        f"{row.driver_cores:.2f}",
    ]


def _spread(spread: Spread, unit: str, factor: float = 1) -> str:
    low, high = number(spread.lowest * factor), number(spread.highest * factor)
    return f"{number(spread.median * factor)} {unit} ({low}–{high})"


def _ratio(value: float | None) -> str:
    return _NOTHING if value is None else number(value)


def _latency(side: Side | None) -> str:
    if side is None or side.p50_ms is None or side.p99_ms is None:
        return _NOTHING
    return f"{number(side.p50_ms.median)} / {number(side.p99_ms.median)}"


def _mebibytes(side: Side | None) -> str:
    return _NOTHING if side is None else f"{side.peak_bytes.median / 2**20:.0f}"


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:  # ruff: ignore[magic-value-comparison]  three digits before the point
        return f"{value:.0f}"
    return f"{value:.3g}"
