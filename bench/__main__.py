"""`python -m bench`: measures both registries and writes the results and the tables of docs/benchmarks.md."""

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.errors import BenchFailed
from bench.machine import CHECKOUT, machine, versions
from bench.registries import distribution_program
from bench.report import replace_section, results, tables
from bench.rounds import Measured, run_rounds
from bench.scenarios import scenarios
from bench.sizes import SIZES
from bench.words import CHINESE, ENGLISH

_PAGES: Final = {"docs/benchmarks.md": ENGLISH, "docs/benchmarks.zh-CN.md": CHINESE}


def main() -> int:
    """Measure; the exit code is 1, and nothing is written, when a registry fails or answers wrongly."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="quick")
    parser.add_argument("--output", type=Path, help="a folder for the results; the documentation is left as it is")
    given = parser.parse_args()
    try:
        about, measured = _measure(given.size)
        _write(given.size, given.output, about, measured)
    except BenchFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def _measure(size_name: str) -> tuple[dict[str, Any], list[Measured]]:
    size = SIZES[size_name]
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-") as folder:
        about = {
            "versions": versions(distribution_program()),
            "machine": machine(Path(folder)),
            "settings": {"size": size_name, **asdict(size)},
        }
        return about, run_rounds(size, Path(folder), lambda line: print(line, flush=True))


def _write(size_name: str, output: Path | None, about: dict[str, Any], measured: list[Measured]) -> None:
    listed = scenarios(SIZES[size_name])
    folder = output or CHECKOUT / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{size_name}.json").write_text(results(about, [done.to_row() for done in measured]), encoding="utf-8")
    for page, words in _PAGES.items():
        section = tables(about, listed, measured, words)
        if output is None:
            replace_section(CHECKOUT / page, section)
        else:
            (folder / Path(page).name).write_text(section + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
