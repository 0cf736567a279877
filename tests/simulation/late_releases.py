"""Client-go programs that hold the Lease, stand still, and wake to release it by the record that they saw last (client-go, `release`).

A sidecar may lead by then, and another one may have seen nothing since that program held the Lease (S7). They take a Lease only where it
was released: one that was emptied by hand they would take at once, which design S1 names as outside of it.
"""

import random
from dataclasses import replace

from sidecar.election.record import format_time
from tests.simulation.go_program import NAME
from tests.simulation.judge import Judge
from tests.simulation.life import EPOCH_US
from tests.simulation.loop import Agenda
from tests.simulation.pod import Pod
from tests.simulation.schedule import Schedule, Step
from tests.simulation.server import Server

SHARE = 0.06
"""Of all schedules."""


def with_late_releases(plain: Schedule, often: tuple[str, ...]) -> Schedule:
    """In some schedules, or where it is asked for (`late release`)."""
    rng = random.Random(f"{plain.seed}:late release")
    if not (rng.random() < SHARE or "late release" in often) or plain.client_go or plain.early or plain.admission:
        return plain
    lease_seconds = plain.plans[0].lease_duration_seconds
    steps, at = [*plain.steps, Step(0.0, "go takes", 0, rng.randrange(1 << 30))], lease_seconds * rng.random()
    while at < plain.seconds:
        name = rng.choice(("go takes", "go takes", "late release", "cut", "resign"))
        steps.append(Step(round(at, 3), name, rng.randrange(len(plain.plans)), rng.randrange(1 << 30)))
        at += rng.expovariate(1 / lease_seconds)
    return replace(plain, late_releases=True, steps=tuple(sorted(steps, key=lambda step: step.at_seconds)))


class LateReleases:
    """The steps of such programs."""

    agenda: Agenda
    judge: Judge
    server: Server
    pods: list[Pod]

    def _everyone_knows(self) -> bool:
        raise NotImplementedError

    def _do_go_takes(self, _pod: Pod, number: int) -> object:
        """One takes a Lease that was released, or that nobody ever held, and stands still from then on."""
        record = self.server.record
        released = record is not None and (record.term is None or record.term.released)
        if record is None or record.holder or not released or self.server.fragile or any(pod.acts() for pod in self.pods):
            return False
        seconds = max(1, round(self.pods[0].plan.lease_duration_seconds * (0.3, 1, 1, 2)[number % 4]))
        time = format_time(EPOCH_US + self.agenda.now_ns // 1000)
        transitions = (record.transitions or 0) + 1
        self.server.edit(holderIdentity=NAME, leaseDurationSeconds=seconds, acquireTime=time, renewTime=time, leaseTransitions=transitions)
        assert self.server.record is not None
        self.judge.wrote_beside(NAME, record, self.server.record)
        return f"for {seconds} s"

    def _do_late_release(self, _pod: Pod, _number: int) -> object:
        """Whoever holds the Lease is emptied out of it. A new process goes by its own duration: the same everywhere, or all must know."""
        record = self.server.record
        alike = len({*(pod.plan.lease_duration_seconds for pod in self.pods), (record.duration_seconds if record else None) or 0}) == 1
        if record is None or not record.holder or not (alike or self._everyone_knows()):
            return False
        time = format_time(EPOCH_US + self.agenda.now_ns // 1000)
        self.server.edit(holderIdentity="", leaseDurationSeconds=1, acquireTime=time, renewTime=time)
        if not alike:
            self.server.mark_fragile()
        assert self.server.record is not None
        self.judge.wrote_beside(NAME, record, self.server.record)
        return None
