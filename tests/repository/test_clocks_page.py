"""How an application reads its deadline: what the page shows is what the examples do, which tests/examples runs."""

import re
import time
from pathlib import Path

import pytest

from tests.support.texts import blocks

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "concepts" / "clocks.md").read_text(encoding="utf-8")
FILES = {"python": "leader.py", "go": "leader.go", "java": "Leader.java", "js": "leader.mjs", "rust": "leader.rs", "sh": "leader.sh"}
BLOCKS = {each.language: f"{each.text}\n" for each in blocks("docs/concepts/clocks.md")}


def test_every_client_is_shown() -> None:
    assert set(BLOCKS) == set(FILES)


@pytest.mark.parametrize("language", FILES)
def test_what_is_shown_stands_in_the_client_that_is_run(language: str) -> None:
    assert BLOCKS[language] in (ROOT / "examples" / FILES[language]).read_text(encoding="utf-8")


def test_proc_uptime_is_that_clock_rounded_down_to_hundredths() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    hundredths = int(Path("/proc/uptime").read_text(encoding="ascii").split()[0].replace(".", ""))
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before // 10_000_000 <= hundredths <= after // 10_000_000


def test_the_ratios_shown_lie_within_their_limits() -> None:
    """The fastest clock by the slowest, as the table names them, and the default times beside the smallest ratio."""
    rows = re.findall(r"^\| (\d+) s / (\d+) s.*?\| ([\d.]+) \| one clock (\d+) % too slow, another (\d+) % too fast", PAGE, re.MULTILINE)
    assert len(rows) == 3
    for lease, renew, ratio, slow, fast in rows:
        assert float(ratio) == pytest.approx(int(lease) / int(renew), abs=0.005)
        assert (100 + int(fast)) / (100 - int(slow)) < int(lease) / int(renew)
        assert (101 + int(fast)) / (99 - int(slow)) >= int(lease) / int(renew)
