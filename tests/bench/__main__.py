"""Measures speed and memory beside client-go: `make bench`, or `python -m tests.bench --help`. Writes JSON; `report.py` makes the page."""

import argparse
import contextlib
import json
import os
import platform
import random
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench import crash, flat, handover, report, serving, start, weight
from tests.bench.crowd_run import Play, crowd
from tests.bench.ground import Ground, ground
from tests.bench.interpreters import NoImageError, of_the_image, own
from tests.bench.teams import SHORTER, Times
from tests.binaries.build import KUBERNETES, BinariesUnavailableError

ROOT: Final = Path(__file__).resolve().parents[2]
Part = Callable[[Ground, argparse.Namespace, random.Random], dict[str, Any]]


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _handover(where: Ground, given: argparse.Namespace, dice: random.Random) -> dict[str, Any]:
    teams = handover.all_teams(where)
    with handover.playing(teams):
        handover.handovers(teams, 1, dice)  # not counted: cold caches
        return {"n": given.n, "seconds": handover.handovers(teams, given.n, dice)}


def _crash(where: Ground, given: argparse.Namespace, dice: random.Random) -> dict[str, Any]:
    times = SHORTER if given.short else Times()
    return {"times": str(times), "found": crash.crashes(where, given.crashes, given.elections, times, dice)}


def _weight(where: Ground, given: argparse.Namespace, _: random.Random) -> dict[str, Any]:
    given.weighed, given.rests_from = weight.weigh(where, given.idle_seconds, _say, given.stack), time.monotonic()
    return _weighed(given)


def _weighed(given: argparse.Namespace) -> dict[str, Any]:
    found = {team: each.found for team, each in given.weighed.items()}
    return {"idle_seconds": given.idle_seconds, "rest_seconds": given.rest_seconds, "found": found}


def _rest(run: dict[str, Any], given: argparse.Namespace) -> None:
    """What was weighed is looked at once more, when it has stood that long beside the other parts."""
    if "weighed" not in given or not given.rest_seconds:
        return
    _say(f"at rest, all in all for {given.rest_seconds:g} s")
    time.sleep(max(0.0, given.rests_from + given.rest_seconds - time.monotonic()))
    for each in given.weighed.values():
        each.look(f"after {given.rest_seconds:g} s more")
    run["weight"] |= _weighed(given)
    del given.weighed
    _write(run, given)


def _write(run: dict[str, Any], given: argparse.Namespace) -> None:
    given.out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _start(where: Ground, given: argparse.Namespace, _: random.Random) -> dict[str, Any]:
    return {"n": given.starts, "found": start.starts(where, given.starts)}


def _serving(where: Ground, given: argparse.Namespace, _: random.Random) -> dict[str, Any]:
    rounds, seconds = (2, 3.0) if given.short else (5, 10.0)
    return {"seconds": seconds, "rates": serving.rates(where, rounds, seconds), "wakes": serving.wakes(where, rounds)}


def _flat(where: Ground, given: argparse.Namespace, _: random.Random) -> dict[str, Any]:
    return flat.flat(where, given.handovers, given.outage_seconds, _say)


def _crowd(where: Ground, given: argparse.Namespace, _: random.Random) -> dict[str, Any]:
    return crowd(where, Play(given.candidates, 2 if given.short else 5, given.idle_seconds), _say)


PARTS: Final[dict[str, Part]] = {
    "weight": _weight,
    "handover": _handover,
    "start": _start,
    "serving": _serving,
    "crash": _crash,
    "crowd": _crowd,
    "flat": _flat,
}
"""In this order: the processes of `weight` rest while the other parts run, and end before `flat` stops the API server."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Speed and memory of the sidecar beside client-go and the theoretical minimum."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to measure, of {', '.join(PARTS)}; default: all")
    parser.add_argument("--short", action="store_true", help="a short run, to see that the bench works")
    parser.add_argument("--seed", type=int, default=None, help="seed for the order of turns; default: a random one, which is printed")
    parser.add_argument("--n", type=int, default=None, help="graceful handovers of each team; default 100, short 8")
    parser.add_argument("--crashes", type=int, default=None, help="crashes of each team; default 20, short 2")
    parser.add_argument("--elections", type=int, default=None, help="elections of each team that crash side by side; default 4, short 2")
    parser.add_argument("--starts", type=int, default=None, help="starts of each team; default 20, short 3")
    parser.add_argument("--candidates", type=int, default=None, help="candidates in the part `crowd`; default 1000, short 100")
    parser.add_argument("--idle-seconds", type=float, default=None, help="length of each idle time that is measured; default 120, short 15")
    parser.add_argument(
        "--rest-seconds", type=float, default=None, help="rest before the last measurement of memory; default 3600, short 0"
    )
    parser.add_argument("--handovers", type=int, default=None, help="handovers in the part `flat`; default 500, short 15")
    parser.add_argument("--outage-seconds", type=float, default=None, help="API server's outage in the part `flat`; default 600, short 10")
    parser.add_argument("--python", choices=("image", "own"), default="image", help="the image's Python (root on Linux), or the tests'")
    parser.add_argument("--out", type=Path, default=report.JSON_FILE, help="the JSON file; parts that are not measured now stay in it")
    parser.add_argument("--report", action="store_true", help="measure nothing: write the page and the pictures from the JSON file")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part: {', '.join(sorted(unknown))}; allowed are {', '.join(PARTS)}")
    usual = {"n": 100, "crashes": 20, "elections": 4, "starts": 20, "candidates": 1000, "idle_seconds": 120.0, "rest_seconds": 3600.0}
    usual |= {"handovers": 500, "outage_seconds": 600.0}
    short = {"n": 8, "crashes": 2, "elections": 2, "starts": 3, "candidates": 100, "idle_seconds": 15.0, "rest_seconds": 0.0}
    short |= {"handovers": 15, "outage_seconds": 10.0}
    for name, value in (short if given.short else usual).items():
        chosen = getattr(given, name)
        if chosen is None:
            setattr(given, name, value)
        elif chosen < (name != "rest_seconds"):
            parser.error(f"--{name.replace('_', '-')} {chosen}: at least 1 is needed")
    given.seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    return given


def _about(python: str, given: argparse.Namespace) -> dict[str, Any]:
    """Where, when and on which commit the part is measured."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    memory = re.search(r"^MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE)
    client_go = re.search(r"k8s\.io/client-go (\S+)", (ROOT / "tests/binaries/candidate/go.mod").read_text(encoding="utf-8"))
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{model[1].strip() if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"{round(int(memory[1]) / 1e6) if memory else '?'} GB, Linux {platform.release().split('-')[0]}",
        "load_before": round(os.getloadavg()[0], 2),
        "python": python,
        "kubernetes": KUBERNETES,
        "client_go": client_go[1] if client_go else "?",
        "commit": _git("rev-parse", "--short", "HEAD"),
        "seed": given.seed,
        "short": given.short,
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False).stdout.strip()


def _uncommitted() -> str:
    """Changes since the commit that the tables will name, without the files that a run writes."""
    own = [f":!docs/{name}" for name in ("internals/speed.json", "internals/speed-and-memory.md", "pictures")]
    return _git("status", "--porcelain", "--untracked-files=no", "--", ".", *own)


def _measure(given: argparse.Namespace) -> None:
    run: dict[str, Any] = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    with contextlib.ExitStack() as stack:
        interpreter = own() if given.python == "own" else stack.enter_context(of_the_image(build=True))
        _say(f"{interpreter.about}; seed {given.seed}")
        where = stack.enter_context(ground(interpreter))
        given.stack = stack.enter_context(contextlib.ExitStack())
        for part in [part for part in PARTS if part in (given.parts or PARTS)]:
            if part == "flat":
                _rest(run, given)
                given.stack.close()
            _say(part)
            began, about = time.monotonic(), _about(interpreter.about, given)
            run[part] = {"about": about, **PARTS[part](where, given, random.Random(given.seed))}
            _write(run, given)
            _say(f"{part} took {time.monotonic() - began:.0f} s")
        _rest(run, given)


def main() -> None:
    """Measure, and write the results."""
    given = _arguments()
    if not given.report:
        if given.out == report.JSON_FILE and (changed := _uncommitted()):
            sys.exit(f"bench: the tables name the commit that was measured: commit this first, or take another --out\n{changed}")
        try:
            _measure(given)
        except (BinariesUnavailableError, NoImageError) as error:
            sys.exit(f"bench: {error}\nbench: without the image: --python own")
    run = json.loads(given.out.read_text(encoding="utf-8"))
    print(report.tables(run))
    if given.out == report.JSON_FILE:
        report.write(run)
        _say(f"written: {report.PAGE.relative_to(ROOT)} and its pictures")


if __name__ == "__main__":
    main()
