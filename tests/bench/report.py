"""Makes tables and pictures of a run's JSON file: docs/internals/speed-and-memory.md between its markers, and two SVGs in docs/pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench import svg
from tests.bench.figures import median, percentile
from tests.bench.summary import summary
from tests.bench.targets import GO, OURS, Run, ms, rows

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
JSON_FILE: Final = DOCS / "internals" / "speed.json"
PAGE: Final = DOCS / "internals" / "speed-and-memory.md"
PICTURES: Final = DOCS / "pictures"
MARKERS: Final = {"summary": ("<!-- bench summary -->", "<!-- /bench summary -->"), "tables": ("<!-- bench -->", "<!-- /bench -->")}
"""Where each part of a run stands in the page: the begin and the end."""

_REQUESTS: Final = {"get Done": "GET", "patch Done": "PATCH", "patch Conflict": "PATCH refused with 409", "watch Opened": "watch opened"}


def tables(run: Run) -> str:
    """All of a run as Markdown."""
    parts = (_ran(run), _targets(run), _handover(run), _crash(run), _memory(run), _idle(run), _start(run), _serving(run), _crowd(run))
    return "\n\n".join(part for part in parts if part)


def pictures(run: Run) -> dict[str, str]:
    """File name to SVG."""
    found = {}
    if "handover" in run:
        found["handover.svg"] = svg.distribution("Graceful handover: share completed within a given time", run["handover"]["seconds"])
    if "weight" in run:
        found["memory.svg"] = svg.bars("Memory of an idle process", "MB", _bars(run["weight"]["found"]))
    return found


def write(run: Run) -> None:
    """The page between its markers, and the pictures."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(drawn(page, run), encoding="utf-8")
    for name, picture in pictures(run).items():
        (PICTURES / name).write_text(picture, encoding="utf-8")


def drawn(page: str, run: Run) -> str:
    """`page` with the summary and the tables, each between its markers."""
    for name, text in (("summary", summary(run)), ("tables", tables(run))):
        begin, end = MARKERS[name]
        before, rest = page.split(begin)
        page = f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"
    return page


def _table(heading: str, head: str, lines: list[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([f"### {heading}", "", head, "| --- " + "| ---: " * (columns - 1) + "|", *lines])


def _ran(run: Run) -> str:
    """Where, when and on which commit each part was measured."""
    places: dict[str, list[str]] = {}
    for part, found in run.items():
        about = found["about"]
        place = f"{about['machine']}; {about['python']}; kube-apiserver {about['kubernetes']}, client-go {about['client_go']}"
        short = "a short run, " if about["short"] else ""
        line = f"- `{part}`: {short}{about['date']}, commit {about['commit']}, seed {about['seed']}, load average {about['load_before']}"
        places.setdefault(place, []).append(line)
    return "\n\n".join("\n".join([f"On {place}:", "", *lines]) for place, lines in places.items())


def _targets(run: Run) -> str:
    lines = [str(row) for row in rows(run)]
    return "\n".join(["### Targets", "", "| | measured | target | met |", "| --- | --- | --- | --- |", *lines])


def _handover(run: Run) -> str:
    if "handover" not in run:
        return ""
    lines = []
    for name, took in run["handover"]["seconds"].items():
        figures = (min(took), median(took), percentile(took, 90), percentile(took, 99), max(took))
        lines.append(f"| {name} | {len(took)} | {' | '.join(map(ms, figures))} |")
    return _table("Graceful handover", "| | n | min | p50 | p90 | p99 | max |", lines)


def _crash(run: Run) -> str:
    if "crash" not in run:
        return ""
    lines = []
    for name, each in run["crash"]["found"].items():
        excess, whole = ([one[key] for one in each] for key in ("excess_seconds", "seconds"))
        figures = (len(each), ms(median(whole)), ms(max(whole)), ms(median(excess)), ms(max(excess)))
        lines.append(f"| {name} | {' | '.join(map(str, figures))} |")
    head = "| | n | kill to the next leader, p50 | max | time after the Lease has expired, p50 | max |"
    return _table(f"Crash at {run['crash']['times']}", head, lines)


def _memory(run: Run) -> str:
    if "weight" not in run:
        return ""
    lines = []
    for name, found in run["weight"]["found"].items():
        for when, by_role in found["memory"].items():
            for role, memory in by_role.items():
                if role != "follower 2":
                    lines.append(f"| {name}, {role.removesuffix(' 1')} | {when} | {memory['rss_mb']:.1f} | {memory['pss_mb']:.1f} |")
    return _table("Memory of each process", "| | when | resident, MB | proportional, MB |", lines)


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
    head = "| | API requests a minute | CPU | CPU with 100 polls waiting |"
    return _table(f"Idle for {run['weight']['idle_seconds']:g} s", head, lines)


def _start(run: Run) -> str:
    if "start" not in run:
        return ""

    def lines() -> Iterator[str]:
        for name, found in run["start"]["found"].items():
            for what, took in found.items():
                yield f"| {name}, {what.removesuffix('_seconds')} | {len(took)} | {ms(median(took))} | {ms(max(took))} |"

    return _table("Start of a process", "| from process start to | n | p50 | max |", list(lines()))


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
    rates = _table("Answers a second", "| `GET /leader` on one core, medians of the rounds | a second | p50 | p99 | errors |", lines)
    first, half, last = map(ms, woken)
    return f"{rates}\n\nAfter a step-down, 1,000 waiting polls are answered: the first after {first}, half after {half}, all after {last}."


def _crowd(run: Run) -> str:
    if "crowd" not in run:
        return ""
    crowd = run["crowd"]
    lines = []
    for what in ("release", "expiry"):
        for one in crowd[what]:
            asked = ", ".join(f"{count} {_REQUESTS.get(name, name)}" for name, count in sorted(one["requests"].items()))
            lines.append(f"| {what} | {ms(one['seconds'])} | {one['writes']} | {asked} |")
    idle = crowd["idle"]
    a_minute = {what: count * 60 / idle["seconds"] for what, count in sorted(idle["requests"].items())}
    said = ", ".join(f"{count:.1f} {_REQUESTS.get(what, what)}" for what, count in a_minute.items())
    before, after = crowd["apiserver_rss_mb"][:2]
    table = _table(f"{crowd['candidates']:,} candidates", "| change | time | writes | requests without renewals |", lines)
    each = (after - before) * 1000 / crowd["candidates"]
    memory = (
        f"The resident memory of the API server is {before:.0f} MB before and {after:.0f} MB with them: {each:.0f} kB for each candidate."
    )
    return f"{table}\n\nWhile idle, all candidates together send {said} a minute. {memory}"


def _bars(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    groups = {}
    for name, each in found.items():
        for role, memory in each["memory"]["idle"].items():
            if role != "follower 2":
                label = name if role == "process" else f"{name}, {role.removesuffix(' 1')}"
                groups[label] = {"resident": memory["rss_mb"], "proportional": memory["pss_mb"]}
    return groups
