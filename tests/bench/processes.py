"""What a process takes, as Linux's /proc tells it; and cores."""

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


def memory(pid: int) -> Memory:
    """Of one process, now."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = {name: int(number) * 1024 / 1e6 for name, number in re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE)}
    return Memory(round(found["Rss"], 2), round(found["Pss"], 2))


def cpu_seconds(pid: int) -> float:
    """User and system time of one process so far, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cores() -> tuple[set[int], set[int]]:
    """One core for what is measured and one for what measures; the same where there is but one."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, {mine[-1]}


def pin(pid: int, where: set[int]) -> None:
    """Keep a process, all its threads, on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), where)
