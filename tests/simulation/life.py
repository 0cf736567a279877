"""One process of a Pod's sidecar: its clocks, its election with somebody who looks on, and what a judge keeps of it."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from sidecar.clock import SystemClock, ns
from sidecar.election.record import Record
from sidecar.election.requests import Candidate
from sidecar.election.view import State, View
from sidecar.runtime.elector import Elector
from sidecar.runtime.leadership import Answer, Leadership
from sidecar.runtime.runner import Runner
from tests.simulation.loop import Agenda, Process

if TYPE_CHECKING:
    from tests.simulation.pod import Pod

MANY = 64
"""Renewals and own writes of a process that are remembered: a late one is not older than that."""

EPOCH_US = 1_790_000_000_000_000


class Judge(Protocol):
    """Who is told of what a Pod says."""

    counts: Counter[str]

    def published(self, pod: "Pod", view: View) -> None:
        """The sidecar answers by `view` from now on."""

    def answered(self, pod: "Pod", answer: Answer) -> None:
        """An application has read this."""

    def ended(self, pod: "Pod", life: "Life") -> None:
        """A process has come to its own end."""

    def felt(self, life: "Life", *, ok: bool) -> None:
        """A process has been told of its application's health, and has taken it in."""

    def say(self, who: str, text: str) -> None:
        """For the timeline."""


class Life(Process):
    """One process of a Pod's sidecar, and what a judge keeps of it."""

    def __init__(self, agenda: Agenda, pod: "Pod", me: Candidate, offset_ns: int) -> None:
        super().__init__(agenda, rate=pod.plan.rate, offset_ns=offset_ns)
        self.pod, self.me, self.owner = pod, me, pod.owner
        self.sends: dict[str, tuple[int, int, int]] = {}
        """Own writes by renewTime: CLOCK_BOOTTIME when they left, and the largest token and last promise (seconds) seen then."""
        self.spoilt: set[str] = set()
        """Versions of own writes that were changed so that they are no renewal (S3)."""
        self.known_until_ns: dict[int, int] = {}
        """By token: what the newest own write that it knows of allows, as it stands; CLOCK_BOOTTIME."""
        self.stood_version = 0
        """Of that write."""
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
        self.healthy: bool | None = None
        """What it was told last of its application's health."""
        self.excused = False
        """It contended while its application was not healthy; until that has been well once."""
        self.unwell_since: dict[str, int] = {}
        """By renewTime, acquisitions sent while its application was not healthy: when it had first seen the renewal that they replace."""
        self.sights: dict[tuple[str, int | None, int | None], int] = {}
        """By holder, renewTime and transitions: when it was first told of that renewal, by CLOCK_BOOTTIME."""
        self.state = State.STARTING
        """As of its last view."""
        self.duplicate_until_ns = 0
        """Until when the writes of a duplicate identity that it has seen promise something, by CLOCK_BOOTTIME."""
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


class PlannedElector(Elector):
    """Its tasks start as the plan says, on every Python."""

    life: Life

    def _task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return self.life.create_eagerly(work) if self.life.pod.plan.eager else self.life.create_task(work)


class ToldRunner(Runner):
    """An election, with somebody who hears what it is told."""

    ELECTOR = PlannedElector
    life: Life

    def live(self, life: Life) -> None:
        """In that process."""
        assert isinstance(self.elector, PlannedElector)
        self.life = self.elector.life = life

    def health(self, *, ok: bool) -> None:
        """Taken in, with what is sent by it, then looked at."""
        self.life.healthy, self.life.excused = ok, self.life.excused and not ok
        super().health(ok=ok)
        self.life.pod.judge.felt(self.life, ok=ok)


class PodLabel:
    """The label of a Pod, which follows the answer: for a while after the answer has turned false the label still says true."""

    def __init__(self, life: Life, elector: Elector, seed: str) -> None:
        self._life, self._elector, self._random = life, elector, random.Random(seed)
        self._token: int | None = None
        self._until_ns = 0
        self._wake = elector.hold_release(self.is_awaited)

    def is_awaited(self) -> bool:
        """Whether the label still says that this Pod leads. How long it does is drawn at the first call in a term."""
        held = self._elector.situation().held
        token = held.token if held is not None else None
        if token != self._token:
            self._token = token
            self._until_ns = self._life.boottime_ns() + ns(self._random.choice((0, 0.03, 0.15, 0.3, 3, 10_000)))
            self._life.call_boottime(self._until_ns, self._wake)
        return self._life.boottime_ns() < self._until_ns
