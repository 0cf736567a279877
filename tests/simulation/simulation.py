"""One run of a schedule: N sidecars, one Lease, every rule looked at in every step, and L1 to L3 when the faults have stopped."""

import gc
import logging
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from sidecar.clock import NS_PER_SECOND, ns
from sidecar.election.situation import OUT, Situation
from sidecar.election.view import State
from tests.simulation.admission import webhook
from tests.simulation.commits import ViolationError
from tests.simulation.faults import Faults
from tests.simulation.features import had, health_seconds
from tests.simulation.go_program import NAME, GoProgram
from tests.simulation.judge import Judge
from tests.simulation.kubelet import Kubelet
from tests.simulation.life import Life
from tests.simulation.loop import Agenda, SpinError
from tests.simulation.network import Link
from tests.simulation.pod import Pod
from tests.simulation.schedule import Schedule
from tests.simulation.server import Server
from tests.simulation.stream import FAILING


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    schedule: Schedule
    violation: ViolationError | None
    counts: Counter[str]
    timeline: list[str]
    candidate_hours: float


class Simulation:
    """A run under way."""

    def __init__(self, schedule: Schedule, *, tell: bool = False) -> None:
        self.schedule = schedule
        self.agenda = Agenda()
        self.agenda.now_ns = self.start_ns = ns(1_000)
        self.timeline: list[str] = []
        self.judge = judge = Judge(self.agenda, self._say if tell else lambda _who, _text: None)
        self.server = Server(f"{schedule.seed}:server", opaque=schedule.opaque)
        self.server.admit = webhook(schedule) if schedule.admission and not schedule.admission_begins else None
        judge.counts.update(f"schedules: {name}" for name in had(schedule))
        self.pods = judge.pods
        for plan in schedule.plans:
            self.pods.append(Pod(plan, self._link(plan.name), judge, self.agenda, str(schedule.seed)))
        if schedule.early:
            kubelets = {
                pod.name.lower(): Kubelet(self.agenda, pod.name, f"{schedule.seed}:kubelet:{pod.name}", judge.ended_pods)
                for pod in self.pods
            }
            for pod in self.pods:
                pod.kubelets = kubelets
        self.faults = Faults(schedule, self.agenda, judge, self.server, self.pods)
        judge.gone = self.faults.gone
        self.program: GoProgram | None = None
        if schedule.client_go:
            self.program = GoProgram(schedule.plans[0], self._link(NAME), judge, self.agenda, f"{schedule.seed}:{NAME}")

    def _link(self, name: str) -> Link:
        return Link(self.server, self.judge, f"{self.schedule.seed}:link:{name}")

    def _say(self, who: str, text: str) -> None:
        self.timeline.append(f"{(self.agenda.now_ns - self.start_ns) / 1e9:12.4f}  {who:<2} {text}")

    def run(self) -> Outcome:
        """The whole schedule, then calm. Nothing is raised for a broken rule: it stands in the outcome."""
        logging.disable(logging.CRITICAL)
        gc.disable()
        try:
            with suppress(ViolationError):
                self._storm()
                self._calm()
        finally:
            hours = len(self.pods) * (self.agenda.now_ns - self.start_ns) / 3600e9
            for pod in self.pods:
                pod.kill()
            gc.enable()
            logging.disable(logging.NOTSET)
        return Outcome(self.schedule, self.judge.found, self.judge.counts, self.timeline, hours)

    def _storm(self) -> None:
        rng = random.Random(self.schedule.seed)
        for pod in self.pods:
            self.agenda.at(self.agenda.now_ns + rng.randrange(NS_PER_SECOND), None, self.faults.start, pod)
            if pod.plan.app == "sporadic":
                self._ask_again(pod)
        if self.program is not None:
            self.agenda.at(self.agenda.now_ns + rng.randrange(NS_PER_SECOND), None, self.program.start)
        for step in self.schedule.steps:
            self.agenda.at(self.start_ns + ns(step.at_seconds), None, self.faults.perform, step)
        self._until(self.start_ns + ns(self.schedule.seconds))

    def _until(self, then_ns: int) -> None:
        try:
            self.agenda.run(then_ns)
        except SpinError:
            self.judge.broken("L2", "somebody looks again and again, and never sleeps")
        if self.judge.found is not None:
            raise self.judge.found

    def _ask_again(self, pod: Pod) -> None:
        pod.ask()
        self.agenda.at(self.agenda.now_ns + pod.random.randrange(ns(2 * pod.plan.renew_deadline_seconds)), None, self._ask_again, pod)

    # ---- calm ---------------------------------------------------------------------------------------------------------------------

    def _calm(self) -> None:
        """Faults stop, but of watches: one leads, soon (L1), and goes on leading (L3)."""
        self.judge.say("", "calm: every fault ends")
        self.faults.end()
        self._fail_watches()
        if self.program is not None:
            self.program.stop()
        self._until(max(self.agenda.now_ns, *(pod.life.stopped_until_ns for pod in self.pods if pod.life is not None), 0))
        longest_seconds, poll_seconds = self._longest_seconds()
        aside = any(pod.elector is not None and pod.elector._election.state in OUT for pod in self.pods)
        # L1; a candidate that resigned or met a duplicate identity stays out for up to two lease durations first.
        soon_ns = self.agenda.now_ns + ns((3 if aside else 1) * longest_seconds + 1 + poll_seconds)
        self._touch_again(ns(longest_seconds / 4), soon_ns)
        self._until(soon_ns)
        leaders = self._one_leads("the last fault", longest_seconds, poll_seconds)
        term = self.judge.term
        self.judge.calm = True
        if len({(pod.plan.lease_duration_seconds, pod.plan.retry_period_seconds) for pod in self.pods}) == 1:  # else a poll may be too late
            every_ns = ns(min(pod.plan.retry_period_seconds for pod in self.pods) / 2)
            self.agenda.at(self.agenda.now_ns + ns(poll_seconds), None, self._look_at_names, every_ns)
        self._until(self.agenda.now_ns + ns(4 * longest_seconds))
        out = [pod.name for pod in self.pods if pod.elector and pod.life and self._stays_out(pod.life, pod.elector.situation())]
        if out:
            self.judge.broken("L1", f"{out} do not contend again")
        if self.judge.term != term or self._leaders() != leaders:
            self.judge.broken("L3", f"the leadership moved without a fault from {term} to {self.judge.term}")
        self.judge.calm = False
        foreign = [pod for pod in self.pods if pod.elector is not None and pod.elector.situation().is_foreign()]
        if len(self.pods) > 1 and not foreign and not self.schedule.sick_at_last:
            self._crash()

    def _crash(self) -> None:
        """Who leads is gone, and whatever it is that watches do has begun long before: another leads within the same bound (L1)."""
        leader = next(pod for pod in self.pods if pod.leads())
        self.judge.say(leader.name, "its process is killed in the calm")
        leader.kill()
        longest_seconds, poll_seconds = self._longest_seconds()
        aside = any(pod.elector is not None and pod.elector.situation().state in OUT for pod in self.pods if pod is not leader)
        self._until(self.agenda.now_ns + ns((3 if aside else 1) * longest_seconds + 1 + poll_seconds))
        self._one_leads("the leader died in the calm", longest_seconds, poll_seconds)

    def _one_leads(self, since: str, longest_seconds: float, poll_seconds: float) -> list[str]:
        leaders = self._leaders()
        if len(leaders) != 1:
            states = [(pod.name, pod.elector._election.state.value, pod.elector._election.why) for pod in self.pods if pod.elector]
            self.judge.broken("L1", f"{leaders or 'nobody'} leads {longest_seconds:.1f} + {1 + poll_seconds:.1f} s after {since}: {states}")
        return leaders

    def _fail_watches(self) -> None:
        """Schedule v: each watch is ended at once, refused, or held back: all in one way, each in its own, or none."""
        rng = random.Random(f"{self.schedule.seed}:calm")
        kinds = ["", *FAILING]
        all_of_them = rng.choice(kinds)
        for pod in self.pods:
            kind = rng.choice(kinds) if self.schedule.seed % 2 else all_of_them
            pod.link.fail_watches(kind)
            self.judge.say(pod.name, f"watches are {kind or 'well'}")

    def _look_at_names(self, every_ns: int) -> None:
        """Beside a leader that lives nobody says that nobody leads."""
        if not self.judge.calm:
            return
        told = [pod for pod in self.pods if pod.elector is not None and not pod.elector.situation().is_foreign()]
        lost = [pod.name for pod in told if pod.leadership is not None and not pod.leadership.read().name]
        if lost and len(self._leaders()) == 1:
            self.judge.broken("L1", f"{lost} say that nobody leads, beside {self._leaders()}")
        self.agenda.at(self.agenda.now_ns + every_ns, None, self._look_at_names, every_ns)

    @staticmethod
    def _stays_out(life: Life, situation: Situation) -> bool:
        """Longer than it was asked to."""
        asked = situation.state is State.RESIGNED and situation.back_ns is not None and situation.back_ns > life.boottime_ns()
        return situation.state in OUT and not situation.leaving and not asked

    def _leaders(self) -> list[str]:
        return [pod.name for pod in self.pods if pod.leads()]

    def _longest_seconds(self) -> tuple[float, float]:
        """The longest promise that somebody may wait for, and what a poll adds, by the slowest clock."""
        slow = 1000 / min(pod.plan.rate for pod in self.pods)
        waits = [pod.elector._election.last for pod in self.pods if pod.elector is not None]
        record = self.server.record
        promises = [
            *(pod.plan.lease_duration_seconds for pod in self.pods),
            *(seconds for _, seconds in self.judge.promises.values()),
            *(last.seconds for last in waits if last is not None),
            (record.duration_seconds if record is not None else None) or 0,
        ]
        retry = max(pod.plan.retry_period_seconds for pod in self.pods)
        limit = max(pod.runner.candidate.request_limit_seconds for pod in self.pods if pod.runner is not None)
        health = health_seconds((pod.plan for pod in self.pods), sick_at_last=self.schedule.sick_at_last)
        return max(promises) * slow, (1.5 * retry + limit + health) * slow

    def _touch_again(self, every_ns: int, end_ns: int) -> None:
        """A controller that writes its label over and over holds nobody up."""
        if self.agenda.now_ns < end_ns:
            self.server.edit(labels={"touched": str(self.agenda.now_ns)})
            self.agenda.at(self.agenda.now_ns + every_ns, None, self._touch_again, every_ns, end_ns)
