"""Early takeover: looks at the Pod of a holder whose renewal is overdue, and tells the election when all its processes have ended (S6 x).

While renewals come it asks for nothing. What it asks comes out of the election's own budget (L2), and leaves the election its share.
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
from sidecar.runtime.runner import Runner

_log: Final = logging.getLogger(__name__)

OVERDUE_PERIODS: Final = 1.05
JITTER_PERIODS: Final = 0.1
"""A renewal is overdue 1.05 to 1.15 retry periods after the last one was seen: spread, so that a group does not ask all at once."""
WATCH_PERIODS: Final = 10
"""A watch is begun anew, with a read before it, after so many retry periods: it may have fallen silent."""
DENIED_PERIODS: Final = 30
"""What is refused is tried again after so many."""


class EarlyTakeover:
    """One election's. `on_deletion`: a Pod that is not there any more counts as ended, whatever runs on."""

    def __init__(self, runner: Runner, pods: Pods, rng: random.Random | None = None, *, on_deletion: bool = False) -> None:
        self._elector, self._candidate, self._clock = runner.elector, runner.candidate, runner.clock
        self._status, self._rate_limiter = runner.status, runner.rate_limiter
        self._pods, self._on_deletion = pods, on_deletion
        self._random = rng if rng is not None else random.SystemRandom()
        self._period_seconds = self._candidate.retry_period_seconds
        self._overdue_seconds = 0.0
        self._suspect: HolderPod | None = None
        self._final_uid = ""
        """Of the last Pod that was seen in a final state: if it is gone by the next read, that is where it went."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pod = self._overdue()
            if pod is not None:
                await self._look(pod)
            await self._clock.sleep(max(self._left_seconds(), MIN_SLEEP_SECONDS))

    # ---- when ---------------------------------------------------------------------------------------------------------------------

    def _left_seconds(self) -> float:
        """Until the renewal that is known now is overdue; a retry period where there is none to wait for."""
        situation = self._elector.situation()
        pod, last = situation.suspect(), situation.last
        if pod is None or last is None:
            return self._period_seconds
        if pod != self._suspect:
            self._suspect = pod
            self._overdue_seconds = self._period_seconds * (OVERDUE_PERIODS + JITTER_PERIODS * self._random.random())
        return seconds(last.seen_ns - self._clock.boottime_ns()) + self._overdue_seconds

    def _overdue(self) -> HolderPod | None:
        """The Pod to look at now."""
        return self._elector.situation().suspect() if self._left_seconds() <= 0 else None

    # ---- what is asked ------------------------------------------------------------------------------------------------------------

    async def _look(self, pod: HolderPod) -> None:
        """Read once, then watch for as long as that renewal is the last."""
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
        """Watch that Pod, and read it when the watch shows its end."""
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
                    self._status.note("pods watch", event.why)
                    return event
                self._status.note("pods watch", None)
                if self._may_be_over(pod, event):
                    await self._read(pod)
        return Closed(None)

    def _may_be_over(self, pod: HolderPod, event: PodEvent) -> bool:
        """Whether the news calls for a read. What is final stays so, however late it is told."""
        shown = event.pod if isinstance(event, (Found, Removed)) else None
        if pod_termination.has_ended(shown, pod.uid):
            self._final_uid = pod.uid
            return True
        gone = isinstance(event, Removed) or not pod_termination.is_pod(shown, pod.uid)
        return gone and self._is_over_if_gone(pod)

    def _is_over_if_gone(self, pod: HolderPod) -> bool:
        """A Pod that is merely gone may have been deleted by force, and run on: only one that was seen final has ended."""
        return self._on_deletion or self._final_uid == pod.uid

    async def _read(self, pod: HolderPod) -> float:
        """One quorum read, sent when that record is known: the proof. Seconds to wait before anything else is asked."""
        if not await self._rate_limiter.acquire(wanted=lambda: self._overdue() == pod):
            return 0
        record = self._elector.situation().record
        if record is None:
            return 0
        renewal = record.renewal
        outcome = await self._pods.read(pod.name, self._candidate.request_limit_seconds)
        self._status.note("pods get", outcome)
        if isinstance(outcome, (Denied, Busy, Unknown)):
            return self._pause_seconds(Closed(outcome))
        shown = outcome.pod if isinstance(outcome, Found) else None
        if pod_termination.has_ended(shown, pod.uid):
            self._final_uid = pod.uid
            self._tell(pod, renewal, "it shows a final state")
        elif not pod_termination.is_pod(shown, pod.uid) and self._is_over_if_gone(pod):
            seen = "it was seen in a final state" if self._final_uid == pod.uid else "LEADER_EARLY_TAKEOVER_ON_DELETION counts that"
            self._tell(pod, renewal, f"it is gone, and {seen}")
        return 0

    def _tell(self, pod: HolderPod, renewal: tuple[str, str, int | None, int | None], why: str) -> None:
        self._elector.put(Ended(renewal))
        if self._elector.situation().is_over():  # else a later one stands by now
            log_move(_log, logging.INFO, "the holder's Pod has ended: contending early", pod=pod.name, uid=pod.uid, why=why)

    def _pause_seconds(self, ended: Closed) -> float:
        jitter = 1 + 0.4 * self._random.random()
        if isinstance(ended.why, Denied):
            return DENIED_PERIODS * self._period_seconds * jitter
        return max(self._period_seconds * jitter, self._elector.situation().asked_seconds(ended.why))
