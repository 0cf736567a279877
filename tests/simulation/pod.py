"""A Pod: its sidecar's process, which may be another after a restart, and its application, which goes on and acts on what it was told."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sidecar.clock import SystemClock, ns
from sidecar.early import EarlyTakeover
from sidecar.elector import Elector, OutOfSeason
from sidecar.leadership import Answer, Leadership, Names
from sidecar.lease import HolderPod, Record
from sidecar.standby import StandBy
from sidecar.view import State, View
from sidecar.writes import Candidate
from tests.simulation.connection import Connection
from tests.simulation.kubelet import Kubelet
from tests.simulation.link_pods import LinkPods
from tests.simulation.loop import Agenda, Process
from tests.simulation.network import Link, LinkStore

MANY = 64
"""Renewals and own writes of a process that are remembered: a late one is not older than that."""

EPOCH_US = 1_790_000_000_000_000


@dataclass(frozen=True)
class Plan:
    """One Pod, as its manifest and its node make it."""

    name: str
    identity: str = ""
    """Written into the template, so that every replica has it; "" for the Pod's own."""
    rate: int = 1000
    """Of its clocks, in thousandths."""
    offset_seconds: int = 0
    lease_duration_seconds: int = 15
    renew_deadline_seconds: float = 10.0
    retry_period_seconds: float = 2.0
    drain_timeout_seconds: float = 10.0
    app_ends_first: bool = False
    early: bool = False
    """Early takeover is on."""
    standby: bool = False
    """It stands by; a sidecar of an older version does not."""
    former: bool = False
    """A sidecar of the version before: it names no Pod, and carries on what it does not know."""
    app: str = "eager"
    """`eager` asks at every change and goes by each deadline; `sporadic` asks now and then; `none` never asks."""


class Judge(Protocol):
    """Who is told of what a Pod says."""

    def published(self, pod: "Pod", view: View) -> None:
        """The sidecar answers by `view` from now on."""

    def answered(self, pod: "Pod", answer: Answer) -> None:
        """An application has read this."""

    def ended(self, pod: "Pod", life: "Life") -> None:
        """A process has come to its own end."""

    def say(self, who: str, text: str) -> None:
        """For the timeline."""


class Life(Process):
    """One process of a Pod's sidecar, and what a judge keeps of it."""

    def __init__(self, agenda: Agenda, pod: "Pod", me: Candidate, offset_ns: int) -> None:
        super().__init__(agenda, rate=pod.plan.rate, offset_ns=offset_ns)
        self.pod, self.me, self.owner = pod, me, pod.owner
        self.sends: dict[str, tuple[int, int, int]] = {}
        """Own writes by renewTime: CLOCK_BOOTTIME when they left, and the largest token and last promise (seconds) seen then."""
        self.landed_until_ns: dict[int, int] = {}
        """By token: until when the writes that landed may be acted on, by CLOCK_BOOTTIME."""
        self.terms: set[int] = set()
        """The tokens under which it has written: a write with one of them is a renewal."""
        self.last_commit: Record | None = None
        self.confirmed_version = self.newest_version = 0
        """Of its own writes that it knows to have landed, and of all that it was told."""
        self.read_version = 0
        """Of the last answer to a request: a quorum read that finds an older one says that etcd went back."""
        self.newest: Record | None = None
        self.misled = False
        """A quorum read that was none has shown it an older state than it knew: it may take a write that landed for one that did not."""
        self.knows_loss = False
        self.max_token_seen = -1
        self.leading: int | None = None
        """The token with which it answers true; None while it answers false."""
        self.leading_until_ns = 0
        self.ended_tokens: set[int] = set()
        self.recent: deque[int] = deque(maxlen=6)
        self.bucket_ns = 0
        """When its requests would be paid for at one a retry period, by CLOCK_BOOTTIME."""
        self.told: deque[tuple[str, str, int | None, int | None]] = deque(maxlen=MANY)
        """The last renewals that it was told of."""
        self.told_then: set[tuple[str, str, int | None, int | None]] = set()
        """The same, when it last sent a read of a Pod."""
        self.read_ends_for: dict[str, set[tuple[str, str, int | None, int | None]]] = {}
        """By the owner that had ended when the read arrived: those that it had been told of when it last sent one."""


class LifeClock(SystemClock):
    """A process's clocks, as the sidecar reads them."""

    def __init__(self, life: Life, pod: "Pod") -> None:
        self._life, self._pod = life, pod

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return self._life.boottime_ns()

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC, for the variants that take it for the other."""
        return self._life.monotonic_ns()

    def wall_us(self) -> int:
        """As the node's clock has it, steps included."""
        return EPOCH_US + self._pod.wall_step_us + self._life.agenda.now_ns // 1000

    async def wait(self, event: asyncio.Event, until_ns: int) -> None:
        """One timer on CLOCK_BOOTTIME in place of a look each second."""
        if event.is_set():
            return
        woken = self._life.create_future()
        event._waiters.append(woken)
        timer = self._life.call_boottime(until_ns, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()
            event._waiters.remove(woken)


async def _whole(elector: Elector, standby: StandBy | None) -> None:
    await elector.run()
    if standby is not None:
        await standby.finish()


def _wake(future: "asyncio.Future[bool]") -> None:
    if not future.done():
        future.set_result(True)


class ToldLeadership(Leadership):
    """The leadership, with somebody who looks at each view."""

    pod: "Pod"
    life: Life

    def publish(self, view: View) -> None:
        """Published, then looked at."""
        super().publish(view)
        if self.life.alive:
            self.pod.published(self.life, view)


class Pod:
    """One candidate."""

    def __init__(self, plan: Plan, link: Link, judge: Judge, agenda: Agenda, seed: str) -> None:
        self.plan, self.link, self._judge, self._agenda, self._seed = plan, link, judge, agenda, seed
        self.name = plan.name
        self.random = random.Random(f"{seed}:{plan.name}")
        self.wall_step_us = 0
        self.app_stopped = False
        self.acts_until_ns = 0
        """World's time until which the application acts on a deadline that it was given."""
        self.acts_by: Life | None = None  # the process that gave it
        self.boots = self.lives = self.uid = 0
        self._offset_ns = ns(plan.offset_seconds)
        self.life: Life | None = None
        self.elector: Elector | None = None
        self.connection: Connection | None = None
        self.stopped_alone = False
        """SIGTERM came to the sidecar's process and not to its Pod: the next process is the same Pod's."""
        self.leadership: ToldLeadership | None = None
        self.kubelets: dict[str, Kubelet] = {}
        """By name, of every Pod; empty where nobody looks at Pods."""

    @property
    def kubelet(self) -> Kubelet | None:
        """Its own."""
        return self.kubelets.get(self.name.lower())

    @property
    def owner(self) -> str:
        """The Pod by name and uid."""
        return f"{self.name}.{self.uid}"

    @property
    def identity(self) -> str:
        """As in the Lease."""
        return self.plan.identity or f"{self.name}_{self.uid}"

    def start(self) -> None:
        """A new process of the sidecar: it knows nothing."""
        plan = self.plan
        self.app_stopped = False
        self.lives += 1
        me = Candidate(
            identity=self.identity,
            instance=f"{self.owner}.{self.lives}",
            place=f"boot-{self.name}-{self.boots}:net-{self.uid}",
            lease_duration_seconds=plan.lease_duration_seconds,
            renew_deadline_seconds=plan.renew_deadline_seconds,
            retry_period_seconds=plan.retry_period_seconds,
            drain_timeout_seconds=plan.drain_timeout_seconds,
            app_ends_first=plan.app_ends_first,
            pod=HolderPod(self.name.lower(), self.owner) if self.kubelets and not plan.former else None,
        )
        life = Life(self._agenda, self, me, self._offset_ns)  # type: ignore[abstract]  # what a loop does with sockets is not needed
        clock = LifeClock(life, self)
        leadership = ToldLeadership(clock, Names(self.identity, "web", "shop", me.instance))
        leadership.pod, leadership.life = self, life
        store = LinkStore(self.link, life)
        elector = Elector(store, clock, leadership, me, random.Random(f"{self._seed}:{me.instance}"))
        self.life, self.elector, self.leadership, self.stopped_alone = life, elector, leadership, False
        self.connection = Connection(keeps=plan.app == "eager", has_ended=lambda: self.app_stopped)
        elector.signs.append(self.connection)
        beside = self._look_at_pods(life, elector, clock)
        standby: StandBy | None = None
        if plan.standby:
            standby = StandBy(elector, store, clock, random.Random(f"{self._seed}:{me.instance}:standby"))
            beside.append(life.start(standby.run()))
        if self.kubelet is not None:
            self.kubelet.started(self.owner)
        life.start(_whole(elector, standby)).add_done_callback(lambda task: self._ended(life, task, beside))

    def _look_at_pods(self, life: Life, elector: Elector, clock: LifeClock) -> "list[asyncio.Task[None]]":
        if not (self.plan.early and self.kubelets):
            return []
        pods = LinkPods(self.link, life, self.kubelets)
        early = EarlyTakeover(elector, pods, clock, random.Random(f"{self._seed}:{life.me.instance}:early"))
        return [life.start(early.run())]

    def _ended(self, life: Life, task: "asyncio.Task[None]", beside: "list[asyncio.Task[None]]") -> None:
        if life.alive:
            for other in beside:
                other.cancel()
            life.failure = None if task.cancelled() else task.exception()
            life.alive = False
            self._judge.ended(self, life)

    def kill(self) -> None:
        """SIGKILL to the sidecar; the application goes on."""
        if self.life is not None:
            life, self.life = self.life, None
            life.kill()
            if self.kubelet is not None:
                self.kubelet.stopped("leader")

    def replace(self, plan: Plan | None = None) -> None:
        """The Pod is gone, its application with it; the next has another uid."""
        self.kill()
        self.acts_until_ns = 0
        if self.kubelet is not None:
            self.kubelet.over()
        self.uid += 1
        self.plan = plan or self.plan

    def retime(self, plan: Plan) -> None:
        """Its settings change in place (a ConfigMap), and its process is started anew."""
        self.kill()
        self.plan = plan

    def reboot(self) -> None:
        """The node starts anew: the same Pod at another place, with new clocks."""
        self.kill()
        self.boots += 1
        self.acts_until_ns = 0
        self._offset_ns = -(self._agenda.now_ns * self.plan.rate // 1000)

    def terminate(self, *, alone: bool = False) -> None:
        """SIGTERM; `alone`: to the sidecar, while its application goes on."""
        if self.elector is not None and self.life is not None:
            self.stopped_alone = alone
            if self.plan.app_ends_first and not alone:
                self._stop_app()
            elector, life = self.elector, self.life

            def stop() -> None:
                elector.stop()
                self._told_to_stop(life)  # also where the term that the application knows of is a former process's

            self._inside(stop)

    def drained(self) -> None:
        """The application has stopped and says so."""
        token = self.leadership.read().fencing_token if self.leadership is not None else None
        if self.life is not None and self._leads(self.life) and token is not None:
            self._stop_app()
            self.command(lambda elector: elector.drained(token))

    def command(self, command: Callable[[Elector], None]) -> None:
        """The application commands its sidecar; out of season that says so and does nothing."""
        if self.elector is not None and self.life is not None:
            elector = self.elector
            self._inside(lambda: command(elector))

    def app_ends(self) -> None:
        """Its container has ended."""
        self._stop_app()

    def _stop_app(self) -> None:
        self.app_stopped, self.acts_until_ns = True, 0

    def ask(self) -> None:
        """The application asks; a process that is stopped answers when it goes on."""
        if self.life is not None:
            self._agenda.at(self._agenda.now_ns, self.life, self._answer)

    def _answer(self) -> None:
        """It goes by the deadline that it is given."""
        assert self.leadership is not None
        assert self.life is not None
        answer = self.leadership.read(give=True)
        self._judge.answered(self, answer)
        if self.connection is not None:
            self.connection.answered(answer)
        if answer.is_leader and not self.app_stopped:
            self.acts_until_ns = max(self.acts_until_ns, self.life.world_ns(answer.valid_until_boottime_ns))
            self.acts_by = self.life

    def leads(self) -> bool:
        """What HTTP would say at this moment."""
        return self.life is not None and self._leads(self.life)

    def _leads(self, life: Life) -> bool:
        if not life.alive or life.stopped_until_ns > self._agenda.now_ns or self.leadership is None:
            return False
        return self.leadership._view.state is State.LEADING and self.leadership.read().is_leader

    def acts(self) -> bool:
        """Whether the application may act."""
        return self._agenda.now_ns < self.acts_until_ns or self.leads()

    def published(self, life: Life, view: View) -> None:
        """Look at what is said, as an application would."""
        self._judge.published(self, view)
        if view.state is State.LEADING and self.plan.app == "eager":
            self._answer()
        elif view.state is State.STEPPING_DOWN:
            self._told_to_stop(life)

    def _told_to_stop(self, life: Life) -> None:
        """A drain timeout below the renew deadline says that the application has stopped by then."""
        if self.plan.drain_timeout_seconds < self.plan.renew_deadline_seconds:
            self.acts_until_ns = min(self.acts_until_ns, life.world_ns(life.boottime_ns() + ns(self.plan.drain_timeout_seconds)))

    def _inside(self, command: Callable[[], None]) -> None:
        life = self.life
        assert life is not None

        def perform() -> None:
            try:
                command()
            except OutOfSeason:
                self._judge.say(self.name, "the command comes out of season")

        self._agenda.at(self._agenda.now_ns, life, life.call_soon, perform)  # as a signal's handler, or a request's
