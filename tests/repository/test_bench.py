"""What the bench makes of its numbers; measured nowhere here."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

from tests.bench import svg
from tests.bench.figures import median, percentile
from tests.bench.report import JSON_FILE, PAGE, PICTURES, drawn, pictures
from tests.bench.summary import summary
from tests.bench.targets import rows


def test_a_percentile_is_a_number_that_was_measured() -> None:
    """By nearest rank."""
    numbers = [float(number) for number in range(100, 0, -1)]
    assert [percentile(numbers, percent) for percent in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]
    assert percentile([3.0], 99) == 3
    assert median([4.0, 1.0, 2.0, 3.0]) == 2


def run(ours: float, excess: float) -> dict[str, object]:
    """A run with a handover and a crash."""
    seconds = {
        "leader-sidecar": [ours] * 3,
        "client-go": [1.5] * 3,
        "theoretical minimum in Python": [0.01] * 3,
        "theoretical minimum in Go": [0.009] * 3,
    }
    found = {name: [{"seconds": 10.0, "excess_seconds": excess}] for name in ("leader-sidecar", "client-go")}
    return {"handover": {"n": 3, "seconds": seconds}, "crash": {"times": "15/10/2", "found": found}}


@pytest.mark.parametrize(
    ("ours", "excess", "met"),
    [
        (0.014, 0.049, [True, True, True, True]),
        (0.016, 0.051, [False, True, True, False]),
        (0.031, 0.051, [False, False, False, False]),
    ],
)
def test_each_target_is_told_to_be_met_or_not(ours: float, excess: float, met: list[bool]) -> None:
    """Median at most 1.5 x and p99 at most 3 x the theoretical minimum, 50 x faster than client-go, 50 ms after the expiry."""
    made = rows(run(ours, excess))
    assert [row.is_met for row in made] == met
    assert all(("**no**" in str(row)) is not row.is_met for row in made)


def test_the_summary_sets_each_figure_beside_client_go_and_the_lower_bound() -> None:
    """A row for each figure of the parts that the run has, and none for the others."""
    seconds = {
        "leader-sidecar": [0.0125, 0.0398, 0.009],
        "client-go": [0.7248, 2.95, 0.02],
        "theoretical minimum in Python": [0.0075, 0.016, 0.004],
    }
    found = {"leader-sidecar": [{"excess_seconds": 0.0163}, {"excess_seconds": 0.01}], "client-go": [{"excess_seconds": 5.5}]}
    assert summary({"handover": {"seconds": seconds}, "crash": {"times": "15/10/2", "found": found}}).splitlines()[2:] == [
        "| Graceful handover, median | 12.5 ms | 724.8 ms | 7.5 ms (theoretical minimum) |",
        "| Graceful handover, p99 | 39.8 ms | 2.95 s | 16.0 ms (theoretical minimum) |",
        "| Crash at 15/10/2: time after the Lease has expired, maximum | 16.3 ms | 5.50 s | 0 ms |",
    ]


def test_a_distribution_is_a_line_for_each_that_ends_at_its_largest() -> None:
    """On a logarithmic axis: ten times as long lies as far to the right each time."""
    picture = svg.distribution("Times", {"a & b": [0.001, 0.01], "c": [0.1]})
    root = ET.fromstring(picture)  # noqa: S314 - made here
    paths = [str(element.get("d")) for element in root.iter("{http://www.w3.org/2000/svg}path")]
    ends = [[float(x) for x in re.findall(r"H([\d.]+)", path)] for path in paths]
    (first, second), (third,) = ends
    assert third - second == pytest.approx(second - first, abs=0.2)
    assert "a &amp; b (n 2)" in picture


def test_a_bar_is_as_long_as_its_figure() -> None:
    """The largest takes the whole width."""
    picture = svg.bars("Memory", "MB", {"a": {"resident": 40.0, "proportional": 20.0}, "b": {"resident": 10.0}})
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="15"', picture)]
    assert widths == pytest.approx([widths[0], widths[0] / 2, widths[0] / 4], abs=0.1)


def test_the_page_and_its_pictures_are_those_of_the_run_that_lies_there() -> None:
    """`python -m tests.bench --report` draws them anew."""
    lies = json.loads(JSON_FILE.read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert drawn(page, lies) == page
    for name, picture in pictures(lies).items():
        assert (PICTURES / name).read_text(encoding="utf-8") == picture
