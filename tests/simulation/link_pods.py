"""Pods as one candidate reads and watches them, at the far end of its link: a read is a quorum read, a watch may lag."""

import asyncio
from collections.abc import AsyncGenerator

from sidecar.election.record import JSON
from sidecar.election.store import Busy, Closed, Denied, Missing, Unknown
from sidecar.kubernetes.pods import Found, PodEvent, PodOutcome, Pods, Removed
from tests.simulation.kubelet import Kubelet
from tests.simulation.loop import Process
from tests.simulation.network import Link

LATE_NS = 200_000_000
"""A watch lags by up to so much."""


class LinkPods(Pods):
    """One process's way to every Pod of the group."""

    def __init__(self, link: Link, process: Process, kubelets: dict[str, Kubelet]) -> None:
        self._link, self._process, self._kubelets, self._agenda = link, process, kubelets, process.agenda

    async def read(self, name: str, limit_seconds: float) -> PodOutcome:
        """What stands there when the request arrives."""
        link, answer = self._link, self._process.create_future()
        link.observer.sending(self._process, None, "pod read")

        def arrive() -> None:
            pod = self._kubelets[name].object
            link.observer.reads_pod(self._process, name)
            outcome: PodOutcome = Found(pod) if pod is not None else Missing()
            if link.happens(link.weather.refuse):
                outcome = link.random.choice((Denied("forbidden"), Busy(1.0), Unknown("HTTP 500")))
            if not (link.weather.cut or link.happens(link.weather.lose_reply)):
                self._agenda.at(self._agenda.now_ns + link.way_ns(), self._process, tell, outcome)

        def tell(outcome: PodOutcome) -> None:
            if not answer.done():
                answer.set_result(outcome)

        if not (link.weather.cut or link.happens(link.weather.lose_request)):
            self._agenda.at(self._agenda.now_ns + link.way_ns(), None, arrive)
        try:
            async with asyncio.timeout(limit_seconds):
                outcome: PodOutcome = await answer
                return outcome
        except TimeoutError:
            return Unknown("no answer")

    async def watch(self, name: str) -> AsyncGenerator[PodEvent, None]:
        """From a state that may be an older one, in order."""
        self._link.observer.sending(self._process, None, "pod watch")
        stream = _Stream(self._link, self._process, self._kubelets[name])
        try:
            self._agenda.at(self._agenda.now_ns + self._link.way_ns(), None, stream.open)
            while True:
                event = await stream.news.get()
                yield event
                if isinstance(event, Closed):
                    return
        finally:
            stream.close()


class _Stream:
    """A watch on one Pod."""

    def __init__(self, link: Link, process: Process, kubelet: Kubelet) -> None:
        self._link, self._process, self._kubelet, self._agenda = link, process, kubelet, process.agenda
        self.news: asyncio.Queue[PodEvent] = asyncio.Queue()
        self._last_ns = 0
        self._torn = False

    def open(self) -> None:
        """The request has arrived at the server."""
        link, weather = self._link, self._link.weather
        if self._torn or weather.cut or link.happens(weather.lose_request):
            return
        if weather.no_watch:
            self._send(Closed(link.random.choice((Denied("forbidden"), None, Busy(1.0)))))
            return
        past = list(self._kubelet.past)
        stale = link.random.randrange(3) if link.random.random() < 0.2 else 0
        before: JSON | None = None
        for state in past[-1 - min(stale, len(past) - 1) :]:
            self._tell(before, state)
            before = state
        self._kubelet.streams.append(self._tell)

    def close(self) -> None:
        """Nobody reads it any more."""
        self._torn = True
        if self._tell in self._kubelet.streams:
            self._kubelet.streams.remove(self._tell)

    def _tell(self, before: JSON | None, after: JSON | None) -> None:
        link = self._link
        self._torn = self._torn or link.weather.cut
        if self._torn:
            return
        if link.happens(link.weather.watch):
            self._torn = True
            self._send(Closed(Unknown("torn")))
        elif after is not None:
            self._send(Found(after))
        elif before is not None:
            self._send(Removed(before))

    def _send(self, event: PodEvent) -> None:
        late_ns = self._link.way_ns() + self._link.random.randrange(LATE_NS)
        self._last_ns = max(self._last_ns, self._agenda.now_ns + late_ns)
        self._agenda.at(self._last_ns, self._process, self.news.put_nowait, event)
