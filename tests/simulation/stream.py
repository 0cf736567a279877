"""A watch on its way from the API server to one process, and the ways in which watches fail."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.clock import NS_PER_SECOND
from sidecar.election.record import Record
from sidecar.election.store import Busy, Changed, Closed, Deleted, Denied, Done, Missing, Opened, Unknown, WatchEvent
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.network import Link


@dataclass(frozen=True)
class Failing:
    """What becomes of each watch, in `Weather.watches`."""

    end: Closed | None
    """None: it falls silent."""
    opens: bool = False
    shows: bool = False


FAILING = {
    "ended at once": Failing(Closed(None), opens=True),
    "HTTP 503": Failing(Closed(Unknown("HTTP 503"))),
    "HTTP 410": Failing(Closed(Unknown("HTTP 410"))),
    "410 as an event": Failing(Closed(Unknown("410 Expired")), opens=True),
    "HTTP 429": Failing(Closed(Busy(3600))),
    "denied": Failing(Closed(Denied("forbidden"))),
    "silent": Failing(None, opens=True),
    "not answered": Failing(None),
    "ended after it showed the Lease": Failing(Closed(None), opens=True, shows=True),
    "silent after it showed the Lease": Failing(None, opens=True, shows=True),
}
"""By name."""


class Stream:
    """A watch on its way: in order, as TCP has it, unless the weather says otherwise."""

    def __init__(self, link: "Link", process: Process) -> None:
        self._link, self._process, self._agenda = link, process, process.agenda
        self._news: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._silent = False
        self._last_ns = 0
        self.gone = False

    async def next(self) -> WatchEvent:
        """The next event."""
        return await self._news.get()

    def open(self) -> None:
        """The request has arrived at the server."""
        link, weather = self._link, self._link.weather
        if self.gone or weather.cut or link.happens(weather.lose_request):
            return
        if weather.watches:
            link.count(f"watches that fail: {weather.watches}")
            self._fail(FAILING[weather.watches])
            return
        if weather.no_watch:
            link.count("watches refused or closed at once")
            refusal = link.random.choice((Denied("forbidden"), None, Unknown("410"), Busy(float(link.random.choice((1, 60, 3600))))))
            self._send(Closed(refusal))
            return
        self._send(Opened())
        stale = link.random.randrange(1, 12) if link.happens(weather.stale) else 0
        outcome = link.server.read(stale)
        if isinstance(outcome, Done):
            self._send(Changed(outcome.record))
        elif isinstance(outcome, Missing):
            self._send(Deleted())
        link.server.streams.append(self.tell)

    def _fail(self, kind: Failing) -> None:
        record = self._link.server.record
        if kind.opens:
            self._send(Opened())
        if kind.shows and record is not None:
            self._send(Changed(record))
        if kind.end is not None:
            self._send(kind.end)

    def end(self, kind: Failing) -> None:
        """What is open goes the same way as those to come."""
        self._silent = True
        if kind.end is not None:
            self._send(Closed(None) if kind.shows else kind.end)

    def tell(self, record: Record | None) -> None:
        """The Lease has changed."""
        link, weather = self._link, self._link.weather
        if self._silent or self.gone:
            return
        if weather.cut:
            self._silent = True
            return
        event: WatchEvent = Changed(record) if record is not None else Deleted()
        if not link.happens(weather.watch):
            self._send(event)
            return
        which = link.random.randrange(4)
        link.count(("watches fallen silent", "watches ended", "watches torn", "watch events out of order")[which])
        if which == 0:
            self._silent = True
        elif which == 3:
            self._agenda.at(self._agenda.now_ns + link.way_ns() + link.random.randrange(3 * NS_PER_SECOND), self._process, self._put, event)
        else:
            self._send(Closed(None if which == 1 else Unknown("torn")))
            self._silent = True

    def _send(self, event: WatchEvent) -> None:
        self._last_ns = max(self._last_ns, self._agenda.now_ns + self._link.way_ns())
        self._agenda.at(self._last_ns, self._process, self._put, event)

    def _put(self, event: WatchEvent) -> None:
        if not self.gone:
            self._news.put_nowait(event)
