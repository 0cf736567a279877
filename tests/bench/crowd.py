"""A thousand candidates of one election in one process: `python crowd.py`, the shipped election, elector and store on a real API server.

`crowd_run.py` runs it. It prints a line of JSON for each change that it has seen, and ends by itself. Times are CLOCK_BOOTTIME.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

from sidecar.clock import SystemClock
from sidecar.election.record import JSON
from sidecar.election.requests import Candidate
from sidecar.election.store import Outcome, Store, WatchEvent
from sidecar.election.view import State, View
from sidecar.kubernetes import credentials
from sidecar.kubernetes.store import KubernetesStore
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner

CLOCK = SystemClock()


def say(what: str, **more: object) -> None:
    """One line, at once."""
    print(json.dumps({"what": what, **more}), flush=True)


@dataclass(frozen=True)
class Sent:
    """One request of a candidate, and its outcome."""

    at_ns: int
    by: str
    verb: str
    outcome: str


class Counting(Store):
    """A store that keeps a line for each request."""

    def __init__(self, store: Store, by: str, kept: list[Sent]) -> None:
        self._store = store
        self._by = by
        self._kept = kept

    def _keep(self, verb: str, outcome: Outcome, sent_ns: int) -> Outcome:
        self._kept.append(Sent(sent_ns, self._by, verb, type(outcome).__name__))
        return outcome

    async def read(self) -> Outcome:
        """A read."""
        sent_ns = CLOCK.boottime_ns()
        return self._keep("get", await self._store.read(), sent_ns)

    async def patch(self, patch: JSON) -> Outcome:
        """A write."""
        sent_ns = CLOCK.boottime_ns()
        return self._keep("patch", await self._store.patch(patch), sent_ns)

    async def create(self, body: JSON) -> Outcome:
        """A write as well."""
        sent_ns = CLOCK.boottime_ns()
        return self._keep("create", await self._store.create(body), sent_ns)

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """Counted when it begins."""
        self._kept.append(Sent(CLOCK.boottime_ns(), self._by, "watch", "Opened"))
        async with contextlib.aclosing(self._store.watch()) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close what it counts for."""
        await self._store.close()


class Announced(Leadership):
    """Says when it begins to lead."""

    def __init__(self, names: Names, leads: Callable[[str, int], None]) -> None:
        super().__init__(CLOCK, names)
        self._leads = leads
        self._led = False

    def publish(self, view: View) -> None:
        """As ever; then the news."""
        super().publish(view)
        leading = view.state is State.LEADING
        if leading and not self._led:
            self._leads(self.names.identity, CLOCK.boottime_ns())
        self._led = leading


class Member:
    """One candidate: a store with connections of its own, and its election."""

    def __init__(self, me: Candidate, runner: Runner, store: Store) -> None:
        self.me = me
        self.runner = runner
        self._store = store
        self._running = asyncio.create_task(runner.run())

    async def end(self, *, releases: bool) -> None:
        """End as after SIGTERM, or as after SIGKILL, which leaves the Lease as it is."""
        if releases:
            self.runner.stop()
        else:
            self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        if releases:
            await self.runner.finish()
        await self._store.close()


class Crowd:
    """All of them."""

    def __init__(self, namespace: str, lease: str, model: Candidate, quiet_seconds: float) -> None:
        self.quiet_seconds = quiet_seconds
        """Return some time after the next leader leads, when all other candidates have finished their writes."""
        self._namespace = namespace
        self._lease = lease
        self._model = model
        self.kept: list[Sent] = []
        self.members: dict[str, Member] = {}
        self._led: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._born = 0

    async def join(self) -> Member:
        """One more."""
        self._born += 1
        me = replace(self._model, identity=f"web-{self._born}_crowd", process=f"{self._born:016x}")
        access = await credentials.load(os.environ)
        store = Counting(await KubernetesStore.connect(access, self._namespace, self._lease), me.identity, self.kept)
        leadership = Announced(
            Names(me.identity, self._lease, self._namespace, me.process[-8:]), lambda who, at: self._led.put_nowait((who, at))
        )
        member = self.members[me.identity] = Member(me, Runner(store, CLOCK, leadership, me), store)
        return member

    async def led(self) -> tuple[Member, int]:
        """Who leads next, and since when."""
        who, at_ns = await self._led.get()
        return self.members[who], at_ns

    async def informed(self, leader: Member) -> None:
        """Return when each of them names this leader."""
        while any(  # noqa: ASYNC110 - a thousand would have to say so
            member.runner.leadership.read().holder != leader.me.identity for member in self.members.values()
        ):
            await asyncio.sleep(0.1)

    def since(self, at_ns: int, leader: Member) -> Counter[str]:
        """Requests since then by verb and outcome, without the renewals of the present leader."""
        sent = [one for one in self.kept if one.at_ns >= at_ns]
        acquired = next((one.at_ns for one in sent if one.by == leader.me.identity and one.verb == "patch" and one.outcome == "Done"), 0)
        return Counter(
            f"{one.verb} {one.outcome}"
            for one in sent
            if not (one.by == leader.me.identity and one.verb == "patch" and one.at_ns > acquired)
        )


async def _change(crowd: Crowd, leader: Member, *, releases: bool) -> Member:
    """The leader ends, with or without a release, and the cost is printed. Another candidate takes its place."""
    began_ns = CLOCK.boottime_ns()
    renewed_ns = max(one.at_ns for one in crowd.kept if one.by == leader.me.identity and one.verb == "patch" and one.outcome == "Done")
    del crowd.members[leader.me.identity]
    ending = asyncio.create_task(leader.end(releases=releases))
    following, at_ns = await crowd.led()
    await asyncio.sleep(crowd.quiet_seconds)
    await ending
    found = crowd.since(began_ns, following)
    took = (at_ns - began_ns) / 1e9 if releases else (at_ns - renewed_ns) / 1e9 - leader.me.lease_duration_seconds
    writes = sum(count for what, count in found.items() if what.split()[0] in ("patch", "create"))
    say("release" if releases else "expiry", seconds=took, writes=writes, requests=dict(found))
    await crowd.join()
    await crowd.informed(following)
    return following


async def main() -> None:
    """The whole play."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--lease", default="web")
    for name in ("candidates", "lease-duration", "idle-seconds", "quiet-seconds", "changes"):
        parser.add_argument(f"--{name}", type=float, required=True)
    given = parser.parse_args()
    duration = int(given.lease_duration)
    model = Candidate("", "", "", duration, duration * 2 / 3, duration * 2 / 15, 0.0, native_sidecar=True)
    crowd = Crowd(given.namespace, given.lease, model, given.quiet_seconds)
    for number in range(int(given.candidates)):
        await crowd.join()
        if number % 10 == 0:
            await asyncio.sleep(0.1)  # Pods do not start all at once either
    leader, _ = await crowd.led()
    await crowd.informed(leader)
    await asyncio.sleep(given.idle_seconds)
    leader = await _change(crowd, leader, releases=True)
    say("settled")
    begin_ns, cpu = CLOCK.boottime_ns(), time.process_time()
    await asyncio.sleep(given.idle_seconds)
    seconds = (CLOCK.boottime_ns() - begin_ns) / 1e9
    idle = Counter(f"{one.verb} {one.outcome}" for one in crowd.kept if one.at_ns >= begin_ns)
    say("idle", seconds=seconds, requests=dict(idle), cpu_percent=100 * (time.process_time() - cpu) / seconds)
    for _ in range(int(given.changes)):
        leader = await _change(crowd, leader, releases=True)
        leader = await _change(crowd, leader, releases=False)
    await asyncio.gather(*(member.end(releases=False) for member in crowd.members.values()))
    say("done")


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
