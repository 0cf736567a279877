"""Durations: as people write them, and all that Go's ParseDuration reads and its String writes."""

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.durations import SHAPE, format_seconds, parse_seconds

GO_WRITES = {
    "1m30s": 90,
    "1m0s": 60,
    "0h1m0s": 60,
    "1h0m0s": 3600,
    "15000000us": 15,
    "100µs": 0.0001,
    "100μs": 0.0001,
    "15000000000ns": 15,
    "1.5h": 5400,
    ".5s": 0.5,
    "1.s": 1,
    "1m1m": 120,
    "30s1m": 90,
    "+15s": 15,
    "1h2m3.004005006s": 3723.004005006,
}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15", 15), ("15s", 15), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("1.5s", 1.5), ("1e9", 1e9), (" 15s ", 15), ("0", 0)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """Seconds without a unit."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", GO_WRITES)
def test_durations_are_read_as_go_writes_them(text: str) -> None:
    """To the last digit: a lease duration has to be whole seconds."""
    assert parse_seconds(text) == GO_WRITES[text]


@pytest.mark.parametrize(
    "text",
    ["", "s", ".s", ".", "-1", "-1s", "1m30", "1m 30s", "1 m", "1d", "1M", "1S", "1min", "1_0", "1_0s", "nan", "inf", "1e", "1e-3", "1e9s",
     "0x1s", "٣s", "1,5s", "1s;", "PT15S", "1..5s", "9" * 19 + "s"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a duration such as 15, 15s, 500ms, 2m, 1h or 1m30s"):
        parse_seconds(text)


@given(st.integers(0, 3_600_000_000_000))
def test_what_is_written_is_read_back(nanoseconds: int) -> None:
    text = format_seconds(nanoseconds / 1e9)
    assert math.isclose(parse_seconds(text), nanoseconds / 1e9, abs_tol=1e-9)
    assert "e" not in text


@given(st.from_regex(f"^(?:{SHAPE})$", fullmatch=True))
def test_the_pattern_that_is_published_lets_nothing_through_that_is_refused(text: str) -> None:
    """A JSON Schema's pattern has no flags: its digits are written out."""
    assert re.fullmatch(SHAPE, text)
    assert parse_seconds(text) >= 0


@pytest.mark.skipif(shutil.which("go") is None, reason="not compared with Go itself: there is no go on the PATH")
def test_go_itself_reads_the_same(tmp_path: Path) -> None:
    """The list above, by time.ParseDuration."""
    program = """package main
import ("fmt"; "os"; "time")
func main() { for _, text := range os.Args[1:] { d, err := time.ParseDuration(text); fmt.Println(d.Nanoseconds(), err) } }
"""
    (tmp_path / "main.go").write_text(program)
    done = subprocess.run(["go", "run", "main.go", *GO_WRITES], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{round(seconds * 1e9)} <nil>" for seconds in GO_WRITES.values()]
