"""Running every scenario on both registries by turns, and measuring what the servers spend on it."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.driving import Driver, driving
from bench.jobs import Figures, Job
from bench.loads import LOADS
from bench.plain_client import PlainClient
from bench.processes import cpu_seconds, forget_peak, peak_bytes
from bench.registries import BASIC, NAMES, Name, Registry, running
from bench.scenarios import Scenario, scenarios
from bench.sizes import Size

REPOSITORY: Final = "bench/image"

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario on one registry in one round; CPU in seconds of a core per unit, memory in bytes."""

    scenario: str
    registry: Name
    round: int
    seed: int
    figures: Figures
    cpu_seconds_per_unit: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.figures.units / self.figures.seconds

    def to_row(self) -> dict[str, Any]:
        """The figures for the raw results."""
        figures = self.figures
        return {
            "scenario": self.scenario,
            "registry": self.registry,
            "round": self.round,
            "seed": self.seed,
            "units": figures.units,
            "seconds": round(figures.seconds, 4),
            "rate": round(self.rate, 4),
            "p50_ms": None if figures.p50_ms is None else round(figures.p50_ms, 4),
            "p99_ms": None if figures.p99_ms is None else round(figures.p99_ms, 4),
            "cpu_seconds_per_unit": round(self.cpu_seconds_per_unit, 8),
            "peak_mib": round(self.peak_bytes / 2**20, 1),
            "driver_cpu_seconds": round(figures.driver_cpu_seconds, 4),
        }


def run_rounds(size: Size, folder: Path, say: Say) -> list[Measured]:
    """Every round with fresh servers and data below ``folder``; who goes first changes from round to round."""
    measured: list[Measured] = []
    with driving() as driver:
        for number in range(1, size.rounds + 1):
            order = NAMES if number % 2 else NAMES[::-1]
            measured += _run_round(size, number, order, driver, folder / f"round-{number}", say)
    return measured


def _run_round(
    size: Size, number: int, order: tuple[Name, ...], driver: Driver, folder: Path, say: Say
) -> list[Measured]:
    """One round; its data is removed at once, for it holds a large blob of each registry."""
    measured = []
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        servers = {
            (name, login): stack.enter_context(running(name, folder / f"{name}-{login}", login=login))
            for login in (False, True)
            for name in order
        }
        jobs = {(name, login): _prepare(server, number) for (name, login), server in servers.items()}
        for scenario in scenarios(size):
            for name in order:
                if name not in scenario.registries:
                    continue
                key = (name, scenario.login != "none")
                done = _measure(scenario, servers[key], jobs[key], driver, number)
                say(f"round {number}  {scenario.key:<24} {name:<13} {done.rate:10.2f} {scenario.unit}/s")
                measured.append(done)
    return measured


def _prepare(server: Registry, seed: int) -> Job:
    """Push the image of a round; returns what all jobs on this server have in common."""
    job = Job("", server.port, BASIC if server.login else "", REPOSITORY, seed)
    client = PlainClient.of(job)
    try:
        client.push_image()
    finally:
        client.close()
    return job


def _measure(scenario: Scenario, server: Registry, common: Job, driver: Driver, number: int) -> Measured:
    job = replace(
        common,
        load=scenario.load,
        method=scenario.method,
        connections=scenario.connections,
        amount=scenario.amount,
    )
    if scenario.login == "bearer":
        client = PlainClient.of(common)
        job = replace(job, authorization=client.get_token())
        client.close()
    forget_peak(server.pid)
    before = cpu_seconds(server.pid)
    figures = driver.run(job, f"{scenario.key} on {server.name}")
    spent = cpu_seconds(server.pid) - before
    peak = peak_bytes(server.pid)
    LOADS[job.load].check(job)
    return Measured(scenario.key, server.name, number, job.seed, figures, spent / figures.units, peak)
