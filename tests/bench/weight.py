"""The part `weight`: memory, CPU time and API requests of idle candidates, and their memory after 10,000 polls."""

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from tests.apiserver.sidecar_process import Sidecar, until
from tests.bench.ground import Ground, Requests
from tests.bench.processes import cpu_seconds, memory
from tests.bench.programs import asking, bare, load
from tests.bench.teams import ClientGo, Ours

POLLS: Final = 10_000
WAITING: Final = 100
SETTLE_SECONDS: Final = 10.0
"""After the start: connections that only the start needed are still open for a while, as in a Pod."""


@dataclass
class Weighed:
    """Roles to process ids and users; each look adds to `found`."""

    pids: dict[str, int]
    users: dict[str, str]
    found: dict[str, Any] = field(default_factory=dict)

    def look(self, when: str) -> None:
        """Each process's memory."""
        self.found.setdefault("memory", {})[when] = {role: memory(pid).to_json() for role, pid in self.pids.items()}


def roles(team: Ours | ClientGo) -> Weighed:
    """The leader, and the followers by number."""
    if isinstance(team, Ours):
        ours = {"leader": team.leader} | {f"follower {number}": sidecar for number, sidecar in enumerate(team.followers, 1)}
        return Weighed({role: each.pid for role, each in ours.items()}, {role: team.where.users[each.name] for role, each in ours.items()})
    go = {"leader": team.leader} | {f"follower {number}": candidate for number, candidate in enumerate(team.followers, 1)}
    return Weighed({role: each.pid for role, each in go.items()}, {role: team.users[each.identity] for role, each in go.items()})


def _over(seconds: float, weighed: dict[str, Weighed]) -> dict[str, dict[str, float]]:
    """Each process's CPU time in this number of seconds, in percent of a core."""
    began, before = time.monotonic(), {team: {role: cpu_seconds(pid) for role, pid in each.pids.items()} for team, each in weighed.items()}
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    return {
        team: {role: round(100 * (cpu_seconds(pid) - before[team][role]) / elapsed, 3) for role, pid in each.pids.items()}
        for team, each in weighed.items()
    }


def idle(ground: Ground, seconds: float, weighed: dict[str, Weighed]) -> None:
    """Let so much time pass: requests by the API server's log, and CPU time."""
    requests, began = Requests(ground.server), time.monotonic()
    cpu = _over(seconds, weighed)
    minutes = (time.monotonic() - began) / 60
    for team, each in weighed.items():
        each.found["cpu_idle_percent"] = cpu[team]
        counted = {role: requests.by_verb([user]) for role, user in each.users.items()}
        each.found["requests_a_minute"] = {
            role: {verb: round(count / minutes, 2) for verb, count in sorted(verbs.items())} for role, verbs in counted.items()
        }


def _waited_on(seconds: float, sidecars: dict[str, Sidecar], ours: Weighed) -> None:
    """The CPU time with this number of polls waiting at each."""
    polls: list[subprocess.Popen[str]] = []
    try:
        for sidecar in sidecars.values():
            version = sidecar.leader()["version"]
            polls.append(asking("wake", url=f"http://127.0.0.1:{sidecar.port}/leader?since={version}&wait=10m", polls=WAITING))
        for sidecar in sidecars.values():
            until(lambda sidecar=sidecar: waiting(sidecar) >= WAITING, within_seconds=20, message="the polls are parked")  # type: ignore[misc]
        (ours.found["cpu_with_100_polls_percent"],) = _over(seconds, {"": ours}).values()
    finally:
        for poll in polls:
            poll.kill()
            poll.communicate()


def waiting(sidecar: Sidecar) -> int:
    """How many polls are parked there, by its metrics."""
    return int(sidecar.metric("leader_sidecar_parked_polls"))


def weigh(ground: Ground, idle_seconds: float, say: Callable[[str], None], stack: ExitStack) -> dict[str, Weighed]:
    """Fresh sidecars beside fresh client-go programs and a bare aiohttp loop: at the start, idle, polled. They end with `stack`."""
    ours, go = Ours(ground, ground.field()), ClientGo(ground, ground.field())
    pid = stack.enter_context(bare(ground.interpreter))
    for team in (ours, go):
        stack.callback(team.stop)
        team.start()
    weighed = {ours.name: roles(ours), go.name: roles(go)}
    time.sleep(SETTLE_SECONDS)
    whole = {**weighed, "bare aiohttp": Weighed({"process": pid}, {})}
    for each in whole.values():
        each.look("after the start")
    for sidecar in ours.sidecars:
        waiting(sidecar)  # a scrape loads more; from here on memory should not grow
    weighed[ours.name].look("after a scrape")
    say(f"idle for {idle_seconds:g} s")
    idle(ground, idle_seconds, weighed)
    for each in whole.values():
        each.look("idle")
    sidecars = {"leader": ours.leader} | {f"follower {number}": each for number, each in enumerate(ours.followers, 1)}
    say(f"{POLLS} polls at each")
    for sidecar in sidecars.values():
        load(f"http://127.0.0.1:{sidecar.port}/leader?since=another&wait=30s", requests=POLLS, connections=8)
    weighed[ours.name].look(f"after {POLLS} polls")
    say(f"idle with {WAITING} polls waiting at each for {idle_seconds:g} s")
    _waited_on(idle_seconds, sidecars, weighed[ours.name])
    weighed[ours.name].look(f"after {WAITING} polls waited at once")
    return whole
