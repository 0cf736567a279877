"""What lies between one Pod and the API server: requests and replies that are lost, late, doubled or refused, and watches that lie."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from sidecar.clock import NS_PER_SECOND
from sidecar.election.record import JSON, TERM_ANNOTATION, Record
from sidecar.election.store import (
    Busy,
    Changed,
    Closed,
    Conflict,
    Denied,
    Done,
    Outcome,
    Store,
    Unknown,
    WatchEvent,
)
from tests.simulation.loop import Process
from tests.simulation.server import Server
from tests.simulation.stream import FAILING, Stream

MS = NS_PER_SECOND // 1000


@dataclass
class Weather:
    """What befalls messages, as probabilities; times are world nanoseconds."""

    cut: bool = False
    """Nothing gets through, in either direction; open watches fall silent."""
    lose_request: float = 0
    lose_reply: float = 0
    late: float = 0
    """Of lost requests: how many arrive after all, long after their sender gave up."""
    late_ns: int = 0
    slow_ns: int = 0
    """Each way takes up to this much longer."""
    refuse: float = 0
    """409 for nothing, 429, 401, 403, 5xx carried out and not, 409 for one's own success."""
    stale: float = 0
    """Reads and first watch events from a replica that lags."""
    watch: float = 0
    """Of watch events: the stream ends, falls silent, is torn, or delivers out of order."""
    no_watch: bool = False
    """Watches are refused, or closed at once."""
    watches: str = ""
    """Each watch fails in this way (`FAILING`), the same each time."""
    fails: str = ""
    """"reads" or "writes": every one of them, while all else goes well."""

    def __str__(self) -> str:
        """For the timeline."""
        parts = [
            "nothing comes or goes" if self.cut else "",
            f"{self.lose_request:.0%} of requests lost" if self.lose_request else "",
            f"{self.lose_reply:.0%} of replies lost" if self.lose_reply else "",
            f"{self.late:.0%} of what is lost arrives late" if self.late and (self.cut or self.lose_request) else "",
            f"each way up to {self.slow_ns / 1e9:g} s" if self.slow_ns else "",
            f"{self.refuse:.0%} refused" if self.refuse else "",
            f"{self.stale:.0%} of reads stale" if self.stale else "",
            f"{self.watch:.0%} of watch events go wrong" if self.watch else "",
            "no watches" if self.no_watch else "",
            f"watches are {self.watches}" if self.watches else "",
            f"no {self.fails}" if self.fails else "",
        ]
        return ", ".join(part for part in parts if part) or "clear"


class Observer(Protocol):
    """Who looks at what passes."""

    counts: Counter[str]

    def sending(self, process: Process, body: JSON | None, kind: str) -> None:
        """A request leaves a process: a `read`, `patch`, `create` or `watch`."""

    def reads_pod(self, process: Process, name: str) -> None:
        """A read of that Pod has arrived."""

    def committed(self, process: Process, before: Record | None, outcome: Outcome) -> None:
        """The server has carried out a write, or refused it."""

    def delivered(self, process: Process, record: Record, *, watched: bool) -> None:
        """A process is told of a state of the Lease, by an answer or by its watch."""


class Link:
    """One Pod's way to the API server; it outlives the sidecar's processes."""

    def __init__(self, server: Server, observer: Observer, seed: str) -> None:
        self.server, self.observer = server, observer
        self.random = random.Random(seed)
        self.weather = Weather()
        self.streams: list[Stream] = []
        """Its open watches, and those that are on their way to be."""

    def fail_watches(self, kind: str) -> None:
        """Each watch goes that way (`FAILING`) from now on, those that are open too; "" for well."""
        self.weather = replace(self.weather, watches=kind)
        for stream in self.streams if kind else ():
            stream.end(FAILING[kind])

    def way_ns(self) -> int:
        """How long a message takes."""
        slow_ns = self.weather.slow_ns
        return MS + self.random.randrange(MS) + (self.random.randrange(slow_ns) if slow_ns else 0)

    def happens(self, probability: float) -> bool:
        """Whether it befalls this one."""
        return probability > 0 and self.random.random() < probability

    def count(self, what: str) -> None:
        """Count what happened."""
        self.observer.counts[what] += 1


class LinkStore(Store):
    """One process's store: the Lease at the far end of its Pod's link."""

    def __init__(self, link: Link, process: Process) -> None:
        self._link, self._process, self._agenda = link, process, process.agenda

    async def read(self) -> Outcome:
        """A quorum read, as far as the weather lets it be one."""
        link = self._link

        def perform() -> Outcome:
            stale = link.random.randrange(1, 12) if link.happens(link.weather.stale) else 0
            if stale:
                link.count("stale reads")
            return link.server.read(stale)

        return self._read_by_it(await self._request(None, "read", perform))

    async def patch(self, patch: JSON) -> Outcome:
        """A conditional merge patch."""
        return self._read_by_it(await self._request(patch, "patch", lambda: self._write(self._carried_on(patch), self._link.server.patch)))

    def _carried_on(self, patch: JSON) -> JSON:
        """The version before keeps the keys of the annotation that it does not know, whoever's they are."""
        plan, lease = getattr(getattr(self._process, "pod", None), "plan", None), self._link.server.lease
        if plan is None or not plan.former or lease is None:
            return patch
        present = json.loads(lease.get("metadata", {}).get("annotations", {}).get(TERM_ANNOTATION, "{}"))
        annotations = patch["metadata"]["annotations"]
        unknown = {key: present[key] for key in present if key == "pod"}
        text = json.dumps(json.loads(annotations[TERM_ANNOTATION]) | unknown)
        return patch | {"metadata": patch["metadata"] | {"annotations": annotations | {TERM_ANNOTATION: text}}}

    def _as_known(self, record: Record) -> Record:
        """The version before reads no key of the annotation that it does not know."""
        plan = getattr(getattr(self._process, "pod", None), "plan", None)
        if plan is None or not plan.former or record.term is None:
            return record
        return replace(record, term=replace(record.term, pod=None))

    def _read_by_it(self, outcome: Outcome) -> Outcome:
        return Done(self._as_known(outcome.record)) if isinstance(outcome, Done) else outcome

    async def create(self, body: JSON) -> Outcome:
        """A create."""
        return self._read_by_it(await self._request(body, "create", lambda: self._write(body, self._link.server.create)))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _write(self, body: JSON, perform: Callable[[JSON], Outcome]) -> Outcome:
        before = self._link.server.record
        outcome = perform(body)
        self._link.observer.committed(self._process, before, outcome)
        return outcome

    async def _request(self, body: JSON | None, kind: str, perform: Callable[[], Outcome]) -> Outcome:
        link, weather = self._link, self._link.weather
        link.observer.sending(self._process, body, kind)
        answer: asyncio.Future[Outcome] = self._process.create_future()
        way_ns = link.way_ns()
        if weather.fails == ("reads" if body is None else "writes"):
            link.count(f"{weather.fails} alone fail")
            refusal = link.random.choice(
                (None, Unknown("HTTP 503"), Unknown("HTTP 500"), Denied("forbidden"), Busy(float(link.random.choice((1, 3600)))))
            )
            if refusal is not None:  # else it is never answered
                self._agenda.at(self._agenda.now_ns + 2 * way_ns, self._process, self._answer, answer, refusal)
        elif weather.cut or link.happens(weather.lose_request):
            link.count("requests lost")
            if link.happens(weather.late):
                self._agenda.at(self._agenda.now_ns + link.random.randrange(weather.late_ns), None, self._arrive_late, perform)
        else:
            self._agenda.at(self._agenda.now_ns + way_ns, None, self._arrive, answer, perform, body is not None)
        outcome = await answer
        if isinstance(outcome, Done):
            link.observer.delivered(self._process, outcome.record, watched=False)
        return outcome

    def _arrive_late(self, perform: Callable[[], Outcome]) -> None:
        self._link.count("late deliveries")
        if isinstance(perform(), Done):
            self._link.count("late deliveries carried out")

    def _arrive(self, answer: "asyncio.Future[Outcome]", perform: Callable[[], Outcome], writing: bool) -> None:  # noqa: FBT001
        link, weather = self._link, self._link.weather
        outcome = self._refused(perform, writing=writing) if link.happens(weather.refuse) else perform()
        if weather.cut or link.happens(weather.lose_reply):
            link.count("replies lost after the commit" if isinstance(outcome, Done) and writing else "replies lost")
            if link.random.random() < 0.3:  # the connection is reset
                self._agenda.at(self._agenda.now_ns + link.way_ns(), self._process, self._answer, answer, Unknown("connection reset"))
            return
        self._agenda.at(self._agenda.now_ns + link.way_ns(), self._process, self._answer, answer, outcome)

    def _answer(self, answer: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
        if not answer.done():
            answer.set_result(outcome)

    def _refused(self, perform: Callable[[], Outcome], *, writing: bool) -> Outcome:
        link = self._link
        which = link.random.randrange(6)
        if which == 0 and writing:
            link.count("409 for nothing")
            return Conflict()
        if which == 1 and writing:
            outcome = perform()
            link.count("409 for one's own success" if isinstance(outcome, Done) else "409")
            return Conflict()
        if which == 2:
            link.count("429")
            return Busy(float(link.random.choice((0, 1, 2, 10, 60, 3600))))
        if which == 3:
            link.count("401 or 403")
            return Denied("forbidden")
        if which == 4:
            outcome = perform()
            link.count("5xx, carried out" if isinstance(outcome, Done) and writing else "5xx")
            return Unknown("HTTP 500")
        link.count("5xx")
        return Unknown("HTTP 503")

    # ---- the watch ----------------------------------------------------------------------------------------------------------------

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """One watch, with whatever the weather makes of it."""
        link, server = self._link, self._link.server
        link.observer.sending(self._process, None, "watch")
        stream = Stream(link, self._process)
        link.streams.append(stream)
        try:
            self._agenda.at(self._agenda.now_ns + link.way_ns(), None, stream.open)
            while True:
                news = await stream.next()
                if isinstance(news, Changed):
                    link.observer.delivered(self._process, news.record, watched=True)
                    news = Changed(self._as_known(news.record))
                yield news
                if isinstance(news, Closed):
                    return
        finally:
            stream.gone = True
            link.streams.remove(stream)
            if stream.tell in server.streams:
                server.streams.remove(stream.tell)
