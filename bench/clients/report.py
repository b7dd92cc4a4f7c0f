"""The tables of the clients: time, CPU, memory and requests, each beside the peers'."""

from collections.abc import Callable
from itertools import starmap
from typing import Any, Final

from bench.clients.rounds import SCENARIOS, Measured
from bench.clients.words import Words
from bench.report import number, table
from bench.summary import Spread

BEGIN: Final = "<!-- begin: written by `make bench-clients` -->"
_OURS: Final = "entrepot"


def tables(about: dict[str, Any], measured: list[Measured], words: Words) -> str:
    """Where and with what, a table of times, one of CPU, one of memory and requests."""
    facts = {**about["machine"], **about["versions"], "rounds": about["settings"]["rounds"]}
    subjects = list(dict.fromkeys(done.subject for done in sorted(measured, key=lambda done: done.subject != _OURS)))
    scenarios = [scenario for scenario in SCENARIOS if any(done.scenario == scenario for done in measured)]

    def rows(figure: Callable[[Measured], float]) -> list[tuple[str, dict[str, Spread]]]:
        return [
            (
                words.titles[scenario].format(**about["settings"]),
                {
                    name: Spread.of(
                        [figure(done) for done in measured if (done.scenario, done.subject) == (scenario, name)]
                    )
                    for name in subjects
                },
            )
            for scenario in scenarios
        ]

    seconds = rows(lambda done: done.cost.seconds)
    cpu = rows(lambda done: done.cost.cpu_seconds)
    memory = rows(lambda done: done.cost.peak_bytes / 2**20)
    requests = rows(lambda done: done.cost.requests)
    used = [
        [title, *(f"{spread.median:.0f} MiB / {asked[name].median:.0f}" for name, spread in spreads.items())]
        for (title, spreads), (_, asked) in zip(memory, requests, strict=True)
    ]
    return "\n\n".join(
        [
            words.machine.format(**facts),
            table((words.time, *subjects, words.ratio), list(starmap(_compared, seconds))),
            table((words.cpu, *subjects, words.ratio), list(starmap(_compared, cpu))),
            table((words.memory, *subjects), used),
        ]
    )


def _compared(title: str, spreads: dict[str, Spread]) -> list[str]:
    """One row, and ours over the least of the peers."""
    cells = [f"{number(one.median)} s ({number(one.lowest)}–{number(one.highest)})" for one in spreads.values()]
    least = min(one.median for name, one in spreads.items() if name != _OURS)
    return [title, *cells, number(spreads[_OURS].median / least) if least else "–"]
