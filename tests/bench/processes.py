"""Memory and CPU time of a process, by /proc; and its cores."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """MB of 10^6 bytes: resident, and proportional (a page that n processes share counts as 1/n)."""

    rss_mb: float
    pss_mb: float

    def to_json(self) -> dict[str, float]:
        """For the run's file."""
        return {"rss_mb": self.rss_mb, "pss_mb": self.pss_mb}


def children(pid: int) -> list[int]:
    """Those of its main thread."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def memory(pid: int) -> Memory:
    """The memory of one process and of its children, now. Of the children only their private memory counts as resident."""
    mine, theirs = _memory_mb(pid), [_memory_mb(child) for child in children(pid)]
    alone_mb = sum(found["Private_Clean"] + found["Private_Dirty"] for found in theirs)
    return Memory(round(mine["Rss"] + alone_mb, 2), round(mine["Pss"] + sum(found["Pss"] for found in theirs), 2))


def _memory_mb(pid: int) -> dict[str, float]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return {name: int(number) * 1024 / 1e6 for name, number in re.findall(r"^(Rss|Pss|Private_\w+): +(\d+) kB", text, re.MULTILINE)}


def cpu_seconds(pid: int) -> float:
    """User and system time of one process and its children so far, to a hundredth of a second."""
    return sum(_cpu_ticks(each) for each in (pid, *children(pid))) / _TICKS


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def cores() -> tuple[set[int], set[int]]:
    """One core for the measured program and one for the measuring program; the same core if there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, {mine[-1]}


def pin(pid: int, where: set[int]) -> None:
    """Keep a process, all its threads, on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), where)
