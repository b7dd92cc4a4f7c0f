"""Where and with what a run was made."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent


def machine(folder: Path) -> dict[str, Any]:
    """The machine, and the file system that ``folder`` lies on."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "filesystem": _filesystem(folder),
        "load_before": round(os.getloadavg()[0], 2),
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
    }


def versions(distribution: Path) -> dict[str, str]:
    """What ran: ``distribution`` is the program as `make tools` linked it."""
    return {
        "entrepot": f"{version('entrepot')} ({_commit()})",
        "distribution": distribution.resolve().parent.name.rpartition("@")[2],
        "python": platform.python_version(),
        "uvicorn": version("uvicorn"),
        "libc": " ".join(platform.libc_ver()),
    }


def _commit() -> str:
    """The commit that the checkout is at, marked when the product's code differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = "+" if git("status", "--porcelain", "--", "src") else ""
    return (git("rev-parse", "--short", "HEAD") or "no checkout") + changed


def _filesystem(folder: Path) -> str:
    """The type of the file system, by the longest mount point above ``folder``."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    place = folder.resolve()
    holding = [(fields[1], fields[2]) for fields in mounts if place.is_relative_to(fields[1])]
    return max(holding, key=lambda mount: len(mount[0]))[1]
