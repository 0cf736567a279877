"""Makes tables and pictures of a run's JSON file: docs/internals/speed-and-memory.md between its markers, and two SVGs in docs/pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench import svg
from tests.bench.figures import median, percentile
from tests.bench.targets import GO, OURS, Run, ms, rows

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
JSON_FILE: Final = DOCS / "internals" / "speed.json"
PAGE: Final = DOCS / "internals" / "speed-and-memory.md"
PICTURES: Final = DOCS / "pictures"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def tables(run: Run) -> str:
    """All of a run as Markdown."""
    parts = (_ran(run), _targets(run), _handover(run), _crash(run), _memory(run), _idle(run), _start(run), _serving(run), _crowd(run))
    return "\n\n".join(part for part in parts if part)


def pictures(run: Run) -> dict[str, str]:
    """File name to SVG."""
    found = {}
    if "handover" in run:
        found["handover.svg"] = svg.distribution("Graceful handover: who has been told after so long", run["handover"]["seconds"])
    if "weight" in run:
        found["memory.svg"] = svg.bars("Memory of a process, idle", "MB", _bars(run["weight"]["found"]))
    return found


def write(run: Run) -> None:
    """The page between its markers, and the pictures."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(drawn(page, run), encoding="utf-8")
    for name, picture in pictures(run).items():
        (PICTURES / name).write_text(picture, encoding="utf-8")


def drawn(page: str, run: Run) -> str:
    """`page` with the tables between its markers."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(run)}\n\n{END}{rest.split(END)[1]}"


def _table(head: str, lines: list[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "| --- " + "| ---: " * (columns - 1) + "|", *lines])


def _ran(run: Run) -> str:
    """Which run it was; parts that were measured at different times are told apart."""
    lines: dict[str, list[str]] = {}
    for part, found in run.items():
        about = found["about"]
        short, where = "a short run, " if about["short"] else "", f"{about['machine']}; {about['python']}"
        peers = f"kube-apiserver {about['kubernetes']}, client-go {about['client_go']}"
        line = (
            f"{short}{about['date']}, commit {about['commit']}, seed {about['seed']}; {where}; {peers}; load before {about['load_before']}"
        )
        lines.setdefault(line, []).append(part)
    return "\n".join(f"- {', '.join(parts)}: {line}" for line, parts in lines.items())


def _targets(run: Run) -> str:
    lines = [str(row) for row in rows(run)]
    return "\n".join(["| | measured | target | met |", "| --- | --- | --- | --- |", *lines])


def _handover(run: Run) -> str:
    if "handover" not in run:
        return ""
    lines = []
    for name, took in run["handover"]["seconds"].items():
        figures = (min(took), median(took), percentile(took, 90), percentile(took, 99), max(took))
        lines.append(f"| {name} | {len(took)} | {' | '.join(map(ms, figures))} |")
    return _table("| graceful handover | n | min | p50 | p90 | p99 | max |", lines)


def _crash(run: Run) -> str:
    if "crash" not in run:
        return ""
    lines = []
    for name, each in run["crash"]["found"].items():
        excess, whole = ([one[key] for one in each] for key in ("excess_seconds", "seconds"))
        figures = (len(each), ms(median(whole)), ms(max(whole)), ms(median(excess)), ms(max(excess)))
        lines.append(f"| {name} | {' | '.join(map(str, figures))} |")
    return _table(f"| crash, at {run['crash']['times']} | n | whole, p50 | max | beyond the limit, p50 | max |", lines)


def _memory(run: Run) -> str:
    if "weight" not in run:
        return ""
    lines = []
    for name, found in run["weight"]["found"].items():
        for when, by_role in found["memory"].items():
            for role, memory in by_role.items():
                if role != "follower 2":
                    lines.append(f"| {name}, {role.removesuffix(' 1')} | {when} | {memory['rss_mb']:.1f} | {memory['pss_mb']:.1f} |")
    return _table("| memory | when | resident, MB | proportional, MB |", lines)


def _idle(run: Run) -> str:
    if "weight" not in run:
        return ""
    lines = []
    for name in (OURS, GO):
        found = run["weight"]["found"][name]
        for role, verbs in found["requests_a_minute"].items():
            said = ", ".join(f"{count:g} {verb}" for verb, count in verbs.items()) or "none"
            polled = found.get("cpu_with_100_polls_percent", {}).get(role)
            with_polls = "" if polled is None else f"{polled:.2f} %"
            lines.append(f"| {name}, {role} | {said} | {found['cpu_idle_percent'][role]:.2f} % | {with_polls} |")
    return _table(f"| idle for {run['weight']['idle_seconds']:g} s | requests a minute | CPU | CPU with 100 polls waiting |", lines)


def _start(run: Run) -> str:
    if "start" not in run:
        return ""

    def lines() -> Iterator[str]:
        for name, found in run["start"]["found"].items():
            for what, took in found.items():
                yield f"| {name}, {what.removesuffix('_seconds')} | {len(took)} | {ms(median(took))} | {ms(max(took))} |"

    return _table("| from the start to | n | p50 | max |", list(lines()))


def _serving(run: Run) -> str:
    if "serving" not in run:
        return ""
    lines = []
    for name, each in run["serving"]["rates"].items():
        figures = [median([one[key] for one in each]) for key in ("per_second", "p50_seconds", "p99_seconds")]
        errors = sum(one["errors"] for one in each)
        lines.append(f"| {name} | {figures[0]:,.0f} | {ms(figures[1])} | {ms(figures[2])} | {errors} |")
    told = run["serving"]["wakes"]
    woken = [median([one[key] for one in told]) for key in ("first_seconds", "p50_seconds", "last_seconds")]
    rates = _table("| `GET /leader`, one core, medians of the rounds | a second | p50 | p99 | errors |", lines)
    first, half, last = map(ms, woken)
    return f"{rates}\n\n1,000 polls that wait are told of a step-down: the first in {first}, half in {half}, all in {last}."


def _crowd(run: Run) -> str:
    if "crowd" not in run:
        return ""
    crowd = run["crowd"]
    lines = []
    for what in ("release", "expiry"):
        for one in crowd[what]:
            asked = ", ".join(f"{count} {name}" for name, count in sorted(one["requests"].items()))
            lines.append(f"| {what} | {ms(one['seconds'])} | {one['writes']} | {asked} |")
    idle = crowd["idle"]
    a_minute = {what: count * 60 / idle["seconds"] for what, count in sorted(idle["requests"].items())}
    said = ", ".join(f"{count:.1f} {what}" for what, count in a_minute.items())
    before, after = crowd["apiserver_rss_mb"][:2]
    table = _table(f"| {crowd['candidates']:,} candidates | told, or after the end | writes | requests but the leader's renewals |", lines)
    each = (after - before) * 1000 / crowd["candidates"]
    memory = f"The API server's resident memory: {before:.0f} MB before, {after:.0f} MB with them, {each:.0f} kB each."
    return f"{table}\n\nIdle, all of them together: {said} a minute. {memory}"


def _bars(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    groups = {}
    for name, each in found.items():
        for role, memory in each["memory"]["idle"].items():
            if role != "follower 2":
                label = name if role == "process" else f"{name}, {role.removesuffix(' 1')}"
                groups[label] = {"resident": memory["rss_mb"], "proportional": memory["pss_mb"]}
    return groups
