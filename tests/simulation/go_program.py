"""A client-go program that shares the Lease, as its source behaves (client-go tools/leaderelection, v0.34: tryAcquireOrRenew, release).

It polls, counts its deadline from the answer, and knows of no annotation. It contends in schedules where nobody deletes or empties the
Lease: it would take an empty one at once and create a missing one in its own name, which design S1 names as outside of it.
"""

import random
from collections.abc import Callable

from sidecar.clock import ns
from sidecar.election.record import Record, format_time
from sidecar.election.store import Done, Outcome
from tests.simulation.judge import Judge
from tests.simulation.life import EPOCH_US
from tests.simulation.loop import Agenda
from tests.simulation.network import Link
from tests.simulation.pod import Plan

NAME = "go-1"


class GoProgram:
    """One process that never dies; now and then it steps down."""

    def __init__(self, plan: Plan, link: Link, judge: Judge, agenda: Agenda, seed: str) -> None:
        self._plan, self._link, self._judge, self._agenda = plan, link, judge, agenda
        self._random = random.Random(seed)
        self._observed: Record | None = None
        self._observed_ns = self._renewed_ns = 0
        self._leads = self._done = False

    def start(self) -> None:
        """Contend."""
        self._turn()

    def stop(self) -> None:
        """End for good, with a release if it leads."""
        self._done = True

    def _turn(self) -> None:
        now_ns, plan = self._agenda.now_ns, self._plan
        if self._leads and now_ns >= self._renewed_ns + ns(plan.renew_deadline_seconds):
            self._leads = False
        release = self._leads and (self._done or self._random.random() < 0.02)  # ReleaseOnCancel
        if not self._done or release:
            self._ask(self._release if release else self._try)
            jitter = 1 if self._leads else 1 + 1.2 * self._random.random()
            self._agenda.at(now_ns + ns(plan.retry_period_seconds * jitter), None, self._turn)

    def _ask(self, then: Callable[[Record], None]) -> None:
        """A GET, if it gets through."""
        self._over_the_link(self._link.server.read, lambda outcome: then(outcome.record) if isinstance(outcome, Done) else None)

    def _over_the_link(self, perform: Callable[[], Outcome], then: Callable[[Outcome], object]) -> None:
        link = self._link

        def arrive() -> None:
            outcome = perform()
            if not (link.weather.cut or link.happens(link.weather.lose_reply)):
                self._agenda.at(self._agenda.now_ns + link.way_ns(), None, then, outcome)

        if not (link.weather.cut or link.happens(link.weather.lose_request)):
            self._agenda.at(self._agenda.now_ns + link.way_ns(), None, arrive)

    def _try(self, record: Record) -> None:
        now_ns = self._agenda.now_ns
        if record != self._observed:
            self._observed, self._observed_ns = record, now_ns
        if record.holder not in ("", NAME) and now_ns < self._observed_ns + ns(record.duration_seconds or 0):
            self._leads = False
            return
        mine = record.holder == NAME
        time = format_time(EPOCH_US + now_ns // 1000)
        acquired = format_time(record.acquire_time_us) if mine else time
        transitions = (record.transitions or 0) + (0 if mine else 1)
        self._update(
            record, NAME, self._plan.lease_duration_seconds, {"acquireTime": acquired, "renewTime": time, "leaseTransitions": transitions}
        )

    def _release(self, record: Record) -> None:
        self._leads = False
        time = format_time(EPOCH_US + self._agenda.now_ns // 1000)
        self._update(record, "", 1, {"acquireTime": time, "renewTime": time})

    def _update(self, base: Record, holder: str, seconds: int, fields: dict[str, object]) -> None:
        spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, **fields}

        def perform() -> Outcome:
            outcome = self._link.server.patch({"metadata": {"resourceVersion": base.version}, "spec": spec})
            if isinstance(outcome, Done):
                self._judge.wrote_beside(NAME, base, outcome.record)
            return outcome

        def then(outcome: Outcome) -> None:
            if isinstance(outcome, Done) and holder:
                self._leads, self._renewed_ns = True, self._agenda.now_ns
                self._observed, self._observed_ns = outcome.record, self._agenda.now_ns

        self._over_the_link(perform, then)
