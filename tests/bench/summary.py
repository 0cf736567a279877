"""The summary of a run: the figures that a reader looks for first, beside client-go and a lower bound."""

from collections.abc import Iterator
from typing import Any

from tests.bench.figures import median, percentile
from tests.bench.targets import GO, OURS, PYTHON_MINIMUM, Run, ms

BARE = "bare aiohttp"
NOTHING = ""


def summary(run: Run) -> str:
    """A Markdown table; the rows of the parts that the run has."""
    head = ["| | leader-sidecar | client-go | lower bound |", "| --- | ---: | ---: | ---: |"]
    makers = (_handover, _crash, _start, _memory, _idle, _serving)
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for make in makers for row in make(run))])


Row = tuple[str, ...]
"""Four cells: what is measured, the sidecar's figure, client-go's, and the lower bound."""


def _handover(run: Run) -> Iterator[Row]:
    if "handover" in run:
        ours, go, minimum = (run["handover"]["seconds"][name] for name in (OURS, GO, PYTHON_MINIMUM))
        yield "Graceful handover, median", ms(median(ours)), ms(median(go)), f"{ms(median(minimum))} (theoretical minimum)"
        tails = [ms(percentile(took, 99)) for took in (ours, go, minimum)]
        yield "Graceful handover, p99", tails[0], tails[1], f"{tails[2]} (theoretical minimum)"


def _crash(run: Run) -> Iterator[Row]:
    if "crash" in run:
        found: dict[str, list[dict[str, float]]] = run["crash"]["found"]
        late = [ms(max(one["excess_seconds"] for one in found[name])) for name in (OURS, GO)]
        yield f"Crash at {run['crash']['times']}: time after the Lease has expired, maximum", *late, "0 ms"


def _start(run: Run) -> Iterator[Row]:
    if "start" in run:
        ours, go = run["start"]["found"][OURS], run["start"]["found"][GO]
        yield "Process start to the first answer, median", ms(median(ours["serving_seconds"])), NOTHING, NOTHING
        leading = [ms(median(each["leading_seconds"])) for each in (ours, go)]
        yield "Process start to leading on an empty Lease, median", *leading, NOTHING


def _memory(run: Run) -> Iterator[Row]:
    if "weight" in run:
        found: dict[str, Any] = run["weight"]["found"]
        largest = {name: max(role["rss_mb"] for role in each["memory"]["idle"].values()) for name, each in found.items()}
        yield "Resident memory, idle", *(f"{largest[name]:.1f} MB" for name in (OURS, GO)), f"{largest[BARE]:.1f} MB (bare aiohttp)"


def _idle(run: Run) -> Iterator[Row]:
    if "weight" in run:
        both = [run["weight"]["found"][name] for name in (OURS, GO)]
        yield "CPU of an idle leader, share of a core", *(f"{each['cpu_idle_percent']['leader']:.2f} %" for each in both), NOTHING
        for what, is_leader, least in (("leader", True, NOTHING), ("follower", False, "0")):
            counts = [
                max(sum(verbs.values()) for role, verbs in each["requests_a_minute"].items() if (role == "leader") is is_leader)
                for each in both
            ]
            yield f"API requests a minute of an idle {what}", *(f"{count:g}" for count in counts), least


def _serving(run: Run) -> Iterator[Row]:
    if "serving" in run:
        ours, bare = (median([one["per_second"] for one in run["serving"]["rates"][name]]) for name in (OURS, BARE))
        yield "`GET /leader`, answers a second on one core", f"{ours:,.0f}", NOTHING, f"{bare:,.0f} (bare aiohttp)"
