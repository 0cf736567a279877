"""Early takeover: reads the Pod of a holder whose renewal is overdue, and tells the election when all its processes have ended (S6 x).

While renewals come in time it sends nothing. Its requests go through the election's rate limiter, and leave the election its share (L2).
"""

import asyncio
import logging
import random
from contextlib import aclosing
from typing import Final

from sidecar.clock import MIN_SLEEP_SECONDS, seconds
from sidecar.election.events import Ended
from sidecar.election.record import HolderPod
from sidecar.election.store import Busy, Closed, Denied, Unknown
from sidecar.features import pod_termination
from sidecar.kubernetes.pods import Found, PodEvent, Pods, Removed
from sidecar.logs import move as log_move
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.runner import Runner

_log: Final = logging.getLogger(__name__)

OVERDUE_PERIODS: Final = 1.05
JITTER_PERIODS: Final = 0.1
"""A renewal is overdue 1.05 to 1.15 retry periods after the last one was seen: at random, so that a group does not ask all at once."""
WATCH_PERIODS: Final = 10
"""After so many retry periods the Pod is read and a new watch opened: the old one may have fallen silent."""
DENIED_PERIODS: Final = 30
"""After so many retry periods a request that was denied is tried again."""


class EarlyTakeover:
    """Looks at the holder's Pod, for one election. `on_deletion`: a missing Pod counts as ended, whatever may still run on its node."""

    def __init__(self, runner: Runner, pods: Pods, rng: random.Random | None = None, *, on_deletion: bool = False) -> None:
        self._elector, self._candidate, self._clock = runner.elector, runner.candidate, runner.clock
        self._status, self._rate_limiter = runner.status, runner.rate_limiter
        self._pods, self._on_deletion = pods, on_deletion
        self._random = rng if rng is not None else random.SystemRandom()
        self._period_seconds = self._candidate.retry_period_seconds
        self._overdue_seconds = 0.0
        self._suspect: HolderPod | None = None
        self._final_uid = ""
        """The uid of the last Pod seen in a final state. If the next read finds it missing, it has ended all the same."""

    async def run(self) -> None:
        """Look at the holder's Pod whenever a renewal is overdue; until cancelled."""
        while True:
            pod = self._overdue()
            if pod is not None:
                await self._look(pod)
            await self._clock.sleep(max(self._left_seconds(), MIN_SLEEP_SECONDS))

    # ---- when ---------------------------------------------------------------------------------------------------------------------

    def _left_seconds(self) -> float:
        """How long until the next renewal is overdue; a retry period where no Pod's end would matter."""
        situation = self._elector.situation()
        pod, last = situation.suspect(), situation.last
        if pod is None or last is None:
            return self._period_seconds
        if pod != self._suspect:
            self._suspect = pod
            self._overdue_seconds = self._period_seconds * (OVERDUE_PERIODS + JITTER_PERIODS * self._random.random())
        return seconds(last.seen_ns - self._clock.boottime_ns()) + self._overdue_seconds

    def _overdue(self) -> HolderPod | None:
        """The Pod of a holder whose renewal is overdue now; None for none."""
        return self._elector.situation().suspect() if self._left_seconds() <= 0 else None

    # ---- requests -----------------------------------------------------------------------------------------------------------------

    async def _look(self, pod: HolderPod) -> None:
        """Read the Pod once, then watch it for as long as its renewal is the last one."""
        wait_seconds = await self._read(pod)
        looking = asyncio.create_task(self._watch(pod, wait_seconds))
        try:
            while not looking.done() and self._overdue() == pod:
                await asyncio.wait({looking}, timeout=self._period_seconds / 2)
            if looking.done():
                looking.result()  # a bug ends the process
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _watch(self, pod: HolderPod, wait_seconds: float) -> None:
        """Watch the Pod while its renewal is overdue. Read the Pod when an event suggests its end, and after each watch."""
        while self._overdue() == pod:
            if wait_seconds:
                await self._clock.sleep(wait_seconds)
            await self._rate_limiter.acquire()
            try:
                async with self._clock.timeout(WATCH_PERIODS * self._period_seconds):
                    ended = await self._watch_once(pod)
            except TimeoutError:
                ended = None
            wait_seconds = self._pause_seconds(ended) if ended is not None else 0
            if self._overdue() == pod:
                wait_seconds = max(wait_seconds, await self._read(pod))

    async def _watch_once(self, pod: HolderPod) -> Closed:
        async with aclosing(self._pods.watch(pod.name)) as events:
            async for event in events:
                if isinstance(event, Closed):
                    self._status.note(HealthLine.PODS_WATCH, event.why)
                    return event
                self._status.note(HealthLine.PODS_WATCH, None)
                if self._may_be_over(pod, event):
                    await self._read(pod)
        return Closed(None)

    def _may_be_over(self, pod: HolderPod, event: PodEvent) -> bool:
        """Whether the event calls for a read. A final state stays final, however late the watch tells of it."""
        shown = event.pod if isinstance(event, (Found, Removed)) else None
        if pod_termination.has_ended(shown, pod.uid):
            self._final_uid = pod.uid
            return True
        gone = isinstance(event, Removed) or not pod_termination.is_pod(shown, pod.uid)
        return gone and self._is_over_if_gone(pod)

    def _is_over_if_gone(self, pod: HolderPod) -> bool:
        """Whether a missing Pod has ended: only if it was seen in a final state, for a Pod deleted by force may run on."""
        return self._on_deletion or self._final_uid == pod.uid

    async def _read(self, pod: HolderPod) -> float:
        """Read the Pod once. The read is a proof, for it is a quorum read that is sent after the renewal was seen.

        Returns the seconds to wait before the next request.
        """
        if not await self._rate_limiter.acquire(wanted=lambda: self._overdue() == pod):
            return 0
        record = self._elector.situation().record
        if record is None:
            return 0
        renewal = record.renewal
        outcome = await self._pods.read(pod.name, self._candidate.request_limit_seconds)
        self._status.note(HealthLine.PODS_GET, outcome)
        if isinstance(outcome, (Denied, Busy, Unknown)):
            return self._pause_seconds(Closed(outcome))
        shown = outcome.pod if isinstance(outcome, Found) else None
        if pod_termination.has_ended(shown, pod.uid):
            self._final_uid = pod.uid
            self._tell(pod, renewal, "its status shows that every process has ended")
        elif not pod_termination.is_pod(shown, pod.uid) and self._is_over_if_gone(pod):
            seen = "its last status was final" if self._final_uid == pod.uid else "LEADER_EARLY_TAKEOVER_ON_DELETION is true"
            self._tell(pod, renewal, f"the Pod is gone, and {seen}")
        return 0

    def _tell(self, pod: HolderPod, renewal: tuple[str, str, int | None, int | None], why: str) -> None:
        self._elector.put(Ended(renewal))
        if self._elector.situation().is_over():  # else a later renewal has been seen by now
            log_move(_log, logging.INFO, "the holder's Pod has ended: contending early", pod=pod.name, uid=pod.uid, why=why)

    def _pause_seconds(self, ended: Closed) -> float:
        jitter = 1 + 0.4 * self._random.random()
        if isinstance(ended.why, Denied):
            return DENIED_PERIODS * self._period_seconds * jitter
        return max(self._period_seconds * jitter, self._elector.situation().asked_seconds(ended.why))
