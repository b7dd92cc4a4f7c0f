"""`python -m bench.clients`: measures the client beside its peers, and writes docs/benchmarks.md's table of clients."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.clients.report import BEGIN, tables
from bench.clients.rounds import SCENARIOS, Measured, run_rounds
from bench.clients.sizes import SIZES
from bench.clients.subjects import subjects
from bench.clients.words import CHINESE, ENGLISH
from bench.errors import BenchFailed
from bench.machine import CHECKOUT, machine, versions
from bench.registries import distribution_program
from bench.report import replace_section, results

_PAGES: Final = {"docs/benchmarks.md": ENGLISH, "docs/benchmarks.zh-CN.md": CHINESE}


def main() -> int:
    """Measure; the exit code is 1, and nothing is written, when a client fails or moves something else."""
    parser = argparse.ArgumentParser(prog="python -m bench.clients", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="quick")
    parser.add_argument("--output", type=Path, help="a folder for the results; the documentation is left as it is")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="only this one, with --output")
    given = parser.parse_args()
    if given.scenario and not given.output:
        parser.error("--scenario goes with --output: the documentation has all of them")
    try:
        about, measured = _measure(given.size, given.scenario or SCENARIOS)
    except BenchFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    _write(given.size, given.output, about, measured)
    return 0


def _measure(size_name: str, scenarios: Sequence[str]) -> tuple[dict[str, Any], list[Measured]]:
    size = SIZES[size_name]
    measured_clients = subjects()
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-") as folder:
        about = {
            "versions": versions(distribution_program()) | {one.name: one.version for one in measured_clients[1:]},
            "machine": machine(Path(folder)),
            "settings": {"size": size_name, **asdict(size)},
        }
        return about, run_rounds(size, measured_clients, scenarios, Path(folder), lambda line: print(line, flush=True))


def _write(size_name: str, output: Path | None, about: dict[str, Any], measured: list[Measured]) -> None:
    folder = output or CHECKOUT / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [done.to_row() for done in measured]
    (folder / f"clients-{size_name}.json").write_text(results(about, rows), encoding="utf-8")
    for page, words in _PAGES.items():
        section = tables(about, measured, words)
        if output is None:
            replace_section(CHECKOUT / page, section, BEGIN)
        else:
            (folder / Path(page).name).write_text(section + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
