"""The targets: a row for each figure of a run, with its target and whether the run met it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.bench.figures import median, percentile

Run = Mapping[str, Any]
OURS = "leader-sidecar"
GO = "client-go"
PYTHON_MINIMUM = "theoretical minimum in Python"
GO_MINIMUM = "theoretical minimum in Go"
"""The theoretical minimum is the shortest time in which two bare clients can hand a Lease over, without an election."""


@dataclass(frozen=True)
class Row:
    """One figure beside its target."""

    what: str
    figure: str
    target: str
    is_met: bool

    def __str__(self) -> str:
        return f"| {self.what} | {self.figure} | {self.target} | {'yes' if self.is_met else '**no**'} |"


def ms(seconds: float) -> str:
    """For people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def rows(run: Run) -> list[Row]:
    """Of the parts that the run has."""
    makers = (_handover, _crash, _requests, _memory, _flat, _cpu, _start, _serving, _crowd)
    return [row for make in makers for row in make(run)]


def _handover(run: Run) -> Iterator[Row]:
    if "handover" not in run:
        return
    took: Mapping[str, Sequence[float]] = run["handover"]["seconds"]
    ours, minimum, go = took[OURS], took[PYTHON_MINIMUM], took[GO]
    ratio = median(ours) / median(minimum)
    yield Row("graceful handover, p50", f"{ms(median(ours))}: {ratio:.1f} x the theoretical minimum in Python", "≤ 1.5 x", ratio <= 1.5)
    tail = percentile(ours, 99) / percentile(minimum, 99)
    yield Row("graceful handover, p99", f"{ms(percentile(ours, 99))}: {tail:.1f} x that of the minimum", "≤ 3 x", tail <= 3)
    faster = median(go) / median(ours)
    yield Row("graceful handover, faster than client-go, p50", f"{faster:.0f} x ({ms(median(go))})", "≥ 50 x", faster >= 50)


def _crash(run: Run) -> Iterator[Row]:
    if "crash" not in run:
        return
    excess = {name: [one["excess_seconds"] for one in each] for name, each in run["crash"]["found"].items()}
    worst, go = percentile(excess[OURS], 99), percentile(excess[GO], 99)
    figure = f"{ms(worst)} (client-go {ms(go)}) at {run['crash']['times']}"
    yield Row("crash: after the Lease has expired, p99", figure, "≤ 50 ms", worst <= 0.050)


def _requests(run: Run) -> Iterator[Row]:
    if "weight" not in run:
        return
    by_role = run["weight"]["found"][OURS]["requests_a_minute"]
    minutes = run["weight"]["idle_seconds"] / 60
    follower = max(sum(verbs.values()) for role, verbs in by_role.items() if role != "leader")
    leader = sum(count for verb, count in by_role["leader"].items() if verb != "patch")
    slack = 1 / minutes if minutes < 1 else 0  # a single one in less than a minute is no rate
    yield Row("API requests a minute, the busiest follower", f"{follower:.1f}", "≤ 1", follower <= 1 + slack)
    patches = by_role["leader"].get("patch", 0)
    yield Row(
        "API requests a minute, leader", f"{patches:.1f} renewals and {leader:.1f} more", "renewals and ≤ 1 more", leader <= 1 + slack
    )


def _memory(run: Run) -> Iterator[Row]:
    if "weight" not in run:
        return
    found = run["weight"]["found"]
    ours, go, bare = (found[name]["memory"]["idle"] for name in (OURS, GO, "bare aiohttp"))
    mine = max(each["rss_mb"] for each in ours.values())
    theirs = max(each["rss_mb"] for each in go.values())
    against = bare["process"]["rss_mb"]
    figure = f"{mine:.1f} MB: {mine / theirs:.2f} x client-go ({theirs:.1f}), {mine / against:.2f} x bare aiohttp ({against:.1f})"
    yield Row("resident memory, the larger of leader and follower", figure, "≤ 1.6 x client-go (ideal 1.3 x)", mine <= 1.6 * theirs)
    looks = list(found[OURS]["memory"].items())
    (polled, after) = next(look for look in looks if look[0].startswith("after 10000"))
    grew = max(after[role]["rss_mb"] - each["rss_mb"] for role, each in ours.items())
    yield Row(f"resident memory, growth {polled}", f"{grew:+.1f} MB", "within 1 MB", grew <= 1)
    (_, before), (last, rested) = looks[-2:]
    if last.endswith("more"):
        grew = max(rested[role]["rss_mb"] - each["rss_mb"] for role, each in before.items())
        yield Row(f"resident memory, growth {last}, idle", f"{grew:+.1f} MB", "within 1 MB", grew <= 1)


def _flat(run: Run) -> Iterator[Row]:
    if "flat" not in run:
        return
    for (_, then), (when, each) in pairwise(run["flat"]["rss_mb"].items()):
        grew = max(after - before for before, after in zip(then, each, strict=True))
        yield Row(f"resident memory, growth {when.replace('more', 'handovers')}", f"{grew:+.1f} MB", "within 1 MB", grew <= 1)


def _cpu(run: Run) -> Iterator[Row]:
    if "weight" not in run:
        return
    found = run["weight"]["found"]
    ours, go = (max(found[name]["cpu_idle_percent"].values()) for name in (OURS, GO))
    yield Row("idle CPU, the busier of leader and follower", f"{ours:.2f} % of a core (client-go {go:.2f} %)", "≤ 0.3 %", ours <= 0.3)


def _start(run: Run) -> Iterator[Row]:
    if "start" not in run:
        return
    ours = run["start"]["found"][OURS]
    go = run["start"]["found"][GO]
    serving, leading = median(ours["serving_seconds"]), median(ours["leading_seconds"])
    yield Row("start to serving, p50", ms(serving), "≤ 0.3 s", serving <= 0.3)
    figure = f"{ms(leading)} (client-go {ms(median(go['leading_seconds']))})"
    yield Row("start to leading on an empty Lease, p50", figure, "≤ 0.5 s", leading <= 0.5)


def _serving(run: Run) -> Iterator[Row]:
    if "serving" not in run:
        return
    rates = run["serving"]["rates"]
    ours, bare = (median([one["per_second"] for one in rates[name]]) for name in (OURS, "bare aiohttp"))
    p99 = median([one["p99_seconds"] for one in rates[OURS]])
    yield Row("`GET /leader`, answers a second on one core", f"{ours:,.0f} (bare aiohttp {bare:,.0f})", "≥ 5,000", ours >= 5000)
    connections = rates[OURS][0]["connections"]
    yield Row(f"`GET /leader`, p99 with {connections} connections", ms(p99), "≤ 2 ms", p99 <= 0.002)
    last = median([one["last_seconds"] for one in run["serving"]["wakes"]])
    yield Row("1,000 waiting polls: all answered after a change", ms(last), "≤ 100 ms", last <= 0.1)


def _crowd(run: Run) -> Iterator[Row]:
    if "crowd" not in run:
        return
    crowd = run["crowd"]
    for what, name in (("release", "a release"), ("expiry", "an expiry")):
        writes = [one["writes"] for one in crowd[what]]
        took = median([one["seconds"] for one in crowd[what]])
        figure = f"at most {max(writes)}; the next leads {ms(took)} after {'the release' if what == 'release' else 'the expiry'}"
        yield Row(f"{crowd['candidates']:,} candidates: writes at {name}", figure, "≤ 20", max(writes) <= 20)
