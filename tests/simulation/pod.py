"""A Pod: its sidecar's process, which may be another after a restart, and its application, which goes on and acts on what it was told."""

import asyncio
import random
from dataclasses import dataclass
from functools import partial

from sidecar.clock import ns
from sidecar.election.record import HolderPod
from sidecar.election.requests import Candidate
from sidecar.election.view import State, View
from sidecar.features.app_health import Verdict, follow
from sidecar.features.early_takeover import EarlyTakeover
from sidecar.runtime.elector import Elector
from sidecar.runtime.leadership import Answer, Names
from sidecar.runtime.runner import Runner
from sidecar.runtime.standby import StandBy
from tests.simulation.application import Application
from tests.simulation.client import WAITING, Client
from tests.simulation.connection import Connection
from tests.simulation.instant import InstantStore
from tests.simulation.kubelet import Kubelet
from tests.simulation.life import Judge, Life, LifeClock, PodLabel, ToldLeadership, ToldRunner
from tests.simulation.link_pods import LinkPods
from tests.simulation.loop import Agenda
from tests.simulation.network import Link, LinkStore


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
    native_sidecar: bool = False
    early: bool = False
    """Early takeover is on."""
    standby: bool = False
    """It stands by; a sidecar of an older version does not."""
    former: bool = False
    """A sidecar of the version before: it names no Pod, and carries on what it does not know."""
    app: str = "eager"
    """`eager` asks at every change and goes by each deadline; `sporadic` asks now and then; `none` never asks."""
    asks: str = "leader"
    """By which route, one of `client.AT_ONCE`, or it waits by one of `client.WAITING`; always the same one."""
    group: str = ""
    placeless: bool = False
    """Its sidecar cannot tell its place."""
    health: bool = False
    """Its application's health is probed."""
    held: bool = False
    """The Pod's label follows its answer: a release is delayed until the label says false as well."""
    eager: bool = False
    """Its tasks start eagerly, as on Python 3.14 and newer."""
    instant: bool = False
    """Its store answers without awaiting, as the local one does."""


async def _whole(runner: Runner) -> None:
    await runner.run()
    await runner.finish()


class Pod(Application):
    """One candidate."""

    def __init__(self, plan: Plan, link: Link, judge: Judge, agenda: Agenda, seed: str) -> None:
        self.plan, self.link, self.judge, self._agenda, self._seed = plan, link, judge, agenda, seed
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
        self.runner: Runner | None = None
        self.elector: Elector | None = None
        self.connection: Connection | None = None
        self.stopped_alone = False
        """SIGTERM came to the sidecar's process and not to its Pod: the next process is the same Pod's."""
        self.leadership: ToldLeadership | None = None
        self.is_sick = False
        """What the probes of its application see."""
        self._client: Client | None = None
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
            process=f"{self.owner}.{self.lives}",
            place="" if plan.placeless else f"boot-{self.name}-{self.boots}:net-{self.uid}",
            lease_duration_seconds=plan.lease_duration_seconds,
            renew_deadline_seconds=plan.renew_deadline_seconds,
            retry_period_seconds=plan.retry_period_seconds,
            drain_timeout_seconds=plan.drain_timeout_seconds,
            native_sidecar=plan.native_sidecar,
            group=plan.group,
            app_has_health=plan.health,
            pod=HolderPod(self.name.lower(), self.owner) if self.kubelets and not plan.former else None,
        )
        life = Life(self._agenda, self, me, self._offset_ns)  # type: ignore[abstract]  # what a loop does with sockets is not needed
        clock = LifeClock(life, self)
        leadership = ToldLeadership(clock, Names(self.identity, "web", "shop", me.process))
        leadership.pod, leadership.life = self, life
        store = (InstantStore if plan.instant else LinkStore)(self.link, life)
        runner = ToldRunner(store, clock, leadership, me, random.Random(f"{self._seed}:{me.process}"))
        runner.live(life)
        stands_by = random.Random(f"{self._seed}:{me.process}:standby")
        runner.standby = StandBy(runner.context, runner.elector, stands_by) if plan.standby else None
        self.life, self.runner, self.elector, self.leadership, self._client = (
            life,
            runner,
            runner.elector,
            leadership,
            Client(runner, clock),
        )
        self.stopped_alone = False
        keeps = plan.app == "eager" or plan.asks in WAITING
        self.connection = Connection(keeps=keeps, has_ended=lambda: self.app_stopped)
        runner.signs.append(self.connection)
        beside = [*self._look_at_pods(life, runner), *self._beside(life, runner)]
        if self.kubelet is not None:
            self.kubelet.started(self.owner)
        life.start(_whole(runner)).add_done_callback(lambda task: self._ended(life, task, beside))

    def _look_at_pods(self, life: Life, runner: Runner) -> "list[asyncio.Task[None]]":
        if not (self.plan.early and self.kubelets):
            return []
        pods = LinkPods(self.link, life, self.kubelets)
        early = EarlyTakeover(runner, pods, random.Random(f"{self._seed}:{life.me.process}:early"))
        return [life.start(early.run())]

    def _beside(self, life: Life, runner: Runner) -> "list[asyncio.Task[None]]":
        """What its application and its manifest want beside the election."""
        plan, found = self.plan, []
        if plan.held:
            PodLabel(life, runner.elector, f"{self._seed}:{life.me.process}:mark")
        if plan.health:
            verdict = Verdict(failures=1 + self.uid % 2, successes=1)
            found.append(life.start(follow(runner, self._probe, plan.retry_period_seconds, verdict)))
        if plan.app != "none" and plan.asks in WAITING:
            assert self._client is not None
            client = self._client
            found.append(life.start(client.follow(plan.asks, plan.renew_deadline_seconds / 2, partial(self._told, life))))
        return found

    def _told(self, life: Life, answer: Answer) -> None:
        """What it waited for has come."""
        self.judge.counts["answers waited for"] += 1
        self._hear(life, answer)

    def _ended(self, life: Life, task: "asyncio.Task[None]", beside: "list[asyncio.Task[None]]") -> None:
        if life.alive:
            for other in beside:
                other.cancel()
            life.failure = None if task.cancelled() else task.exception()
            life.alive = False
            self.judge.ended(self, life)

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
        if self.runner is not None and self.life is not None:
            self.stopped_alone = alone
            if self.plan.native_sidecar and not alone:
                self._stop_app()
            runner, life = self.runner, self.life

            def stop() -> None:
                runner.stop()
                self._told_to_stop(life)  # also where the term that the application knows of is a former process's

            self._inside(stop)

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
        self.judge.published(self, view)
        if view.state is State.LEADING and self.plan.app == "eager" and self.plan.asks not in WAITING:
            self._answer()
        elif view.state is State.STEPPING_DOWN:
            self._told_to_stop(life)

    def _told_to_stop(self, life: Life) -> None:
        """A drain timeout below the renew deadline says that the application has stopped by then."""
        if self.plan.drain_timeout_seconds < self.plan.renew_deadline_seconds:
            self.acts_until_ns = min(self.acts_until_ns, life.world_ns(life.boottime_ns() + ns(self.plan.drain_timeout_seconds)))
