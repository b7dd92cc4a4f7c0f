"""Running a client's commands, and what they cost by the kernel's own account."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import BenchFailed

_SECONDS_AT_MOST: Final = 300
_LOGGED: Final = re.compile(r'"(?:GET|HEAD|PUT|POST|PATCH|DELETE) /v2/')


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work took; memory is the largest of its processes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    requests: int = 0


def run_measured(commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path) -> Cost:
    """Run commands one after the other; raises BenchFailed for one that fails.

    ``time`` starts each of them, because the peak of a child of a large process counts from what that one holds.
    """
    told = folder / "time"
    cpu, peak = 0.0, 0
    began = time.perf_counter()
    for command in commands:
        timed = ["time", "--quiet", "--format", "%U %S %M", "--output", str(told), *command]
        done = subprocess.run(
            timed, env=environment, capture_output=True, text=True, timeout=_SECONDS_AT_MOST, check=False
        )
        if done.returncode:
            raise BenchFailed(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
        user, system, kibibytes = told.read_text(encoding="ascii").split()
        cpu += float(user) + float(system)
        peak = max(peak, int(kibibytes) * 1024)
    return Cost(time.perf_counter() - began, cpu, peak)


def requests_in(log: Path) -> int:
    """How many requests a registry has logged so far."""
    return len(_LOGGED.findall(log.read_text(encoding="utf-8", errors="replace")))
