"""What a server's processes cost, by the kernel's own account (proc(5))."""

import os
import re
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)

# Fields of /proc/PID/stat after the command's name, which is in parentheses and may hold anything.
_PARENT, _USER_TICKS, _SYSTEM_TICKS = 1, 11, 12


def process_tree(root: int) -> list[int]:
    """The process and all its descendants."""
    stats = {int(entry.name): _stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdecimal()}
    tree, newest = [root], {root}
    while newest:
        newest = {child for child, stat in stats.items() if stat and int(stat[_PARENT]) in newest}
        tree += newest
    return tree


def cpu_seconds(root: int) -> float:
    """User and system time of the process tree so far, in seconds of one core."""
    stats = [stat for pid in process_tree(root) if (stat := _stat(pid))]
    return sum(int(stat[_USER_TICKS]) + int(stat[_SYSTEM_TICKS]) for stat in stats) / _TICKS_PER_SECOND


def forget_peak(root: int) -> None:
    """Let the peak of each process's resident memory start again from what it holds now."""
    for pid in process_tree(root):
        (_PROC / str(pid) / "clear_refs").write_text("5", encoding="ascii")


def peak_bytes(root: int) -> int:
    """The most resident memory that each process of the tree had since ``forget_peak``, summed."""
    total = 0
    for pid in process_tree(root):
        found = _PEAK.search((_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace"))
        total += int(found[1]) * 1024 if found else 0
    return total


def _stat(pid: int) -> list[str]:
    """The fields after the name; none when the process has gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
