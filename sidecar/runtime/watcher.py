"""Keeps a watch on the Lease for one election, and polls while no watch can be relied on.

There are two loops. The watcher opens one watch after another, with requests that the election can spare (L2). The poller has the Lease
read every 1 to 1.4 retry periods while no watch is relied on (L1): also while a watch connects, or is open and shows nothing.
"""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, Final

from sidecar.clock import ns
from sidecar.election.events import Confirmed, Doubted, Watched
from sidecar.election.record import Record
from sidecar.election.requests import Kind
from sidecar.election.store import Alive, Changed, Closed, Deleted, Denied, Opened, Unknown, WatchEvent
from sidecar.runtime.context import Context
from sidecar.runtime.elector import Elector

POLL_PERIODS: Final = (1.0, 1.4)
"""The time between two polls, in retry periods (L1: within 1.5)."""
SOON_PERIODS: Final = (0.1, 0.5)
"""The pause after a watch that showed the Lease. It is random, so that the candidates of a group do not all reconnect at once."""
AGAIN_PERIODS: Final = (4.2, 5.6)
"""The pause after a watch that showed nothing: at least three polls come in between."""
DENIED_PERIODS: Final = (30, 42)
"""The pause after a watch that was denied: an administrator has to grant the right first."""
SILENT_PERIODS: Final = 2
"""A watch may be silent for so many retry periods, or for SILENT_PART of the record's duration: a holder may renew more slowly."""
SILENT_PART: Final = 0.5
PATIENCE: Final = 1.2
"""The largest random factor on the silence timeout: it prevents simultaneous reconnects when a holder dies."""
LEFT_PERIODS: Final = 2
"""Where the record's duration is long the timeout may grow further, up to so many retry periods before the duration runs out: then the next
watch, or a poll, still shows in time that the holder lives.
"""
LONGEST_PROBATION_PERIODS: Final = 90
"""The longest probation of a new watch: it grows each time a watch falls silent while there is news."""


class Watcher:
    """The watcher and the poller of one candidate. They pass all news of the Lease to the elector as events."""

    def __init__(self, context: Context, elector: Elector) -> None:
        self._elector, self._store, self._clock, self._random = elector, context.store, context.clock, context.random
        self._status, self._rate_limiter = context.status, context.rate_limiter
        self._period_seconds = context.candidate.retry_period_seconds
        self._patience = random.Random(context.candidate.process).random()  # noqa: S311 - not for secrets
        self._needed, self._relied = asyncio.Event(), asyncio.Event()
        """Exactly one of the two is set: polls are needed, or the watch is relied on."""
        self._needed.set()
        self._told_ns = self._clock.boottime_ns()
        """When the last poll was asked for, or the watch was last relied on: the time to the next poll counts from there."""
        self._silent_at: Record | None = None
        """The record known when the last watch that had shown the Lease fell silent; None where that watch ended otherwise."""
        self._probation_periods = POLL_PERIODS[1]
        """How long a watch is not relied on after late news, in retry periods."""
        self._probation_ends_ns = 0
        """Until this moment (CLOCK_BOOTTIME) no watch is relied on, because news came late or not at all."""

    def loops(self) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
        """The loops that run beside the election."""
        return self.run(), self.poll()

    def _draw_seconds(self, periods: tuple[float, float]) -> float:
        return self._period_seconds * self._random.uniform(*periods)

    # ---- the poller ---------------------------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Have the Lease read again and again while no watch is relied on; until cancelled."""
        while True:
            await self._needed.wait()
            told_ns = self._told_ns
            await self._clock.wait(self._relied, told_ns + ns(self._draw_seconds(POLL_PERIODS)))
            if self._needed.is_set() and self._told_ns == told_ns:  # else a watch has shown the Lease meanwhile
                self._told_ns = self._clock.boottime_ns()
                self._doubt()

    def _doubt(self) -> None:
        """Have the Lease read, unless a write tells as much: a read would only delay that write (L1).

        Such a write is a holder's renewal that has just landed, or a conditional write that waits for the rate limiter alone (S5).
        """
        situation, now_ns = self._elector.situation(), self._clock.boottime_ns()
        due = situation.due(now_ns)
        writes = due is not None and due.kind is not Kind.READ and due.at_ns <= now_ns
        renews = situation.held is not None and now_ns - (situation.confirmed_ns or 0) <= ns(self._period_seconds)
        if not (writes or renews):
            self._elector.put(Doubted())

    def _rely(self, *, on: bool) -> None:
        if on is self._relied.is_set():
            return
        self._told_ns = self._clock.boottime_ns()
        became, ended = (self._relied, self._needed) if on else (self._needed, self._relied)
        ended.clear()
        became.set()

    # ---- the watcher --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open one watch after another, until cancelled."""
        follows = False
        """Whether the watch before this one showed the Lease."""
        while True:
            await self._rate_limiter.acquire()
            why, shown, silent = await self._once()
            self._rely(on=False)
            if follows and not shown:
                self._doubt()  # changes since the end of the last watch are not known yet
            follows = shown
            if not (shown and silent):  # after silence at once: its timeout differs within a group
                await self._clock.sleep(self._pause_seconds(why, shown=shown))

    def _pause_seconds(self, why: object, *, shown: bool) -> float:
        """The pause before the next watch."""
        periods = DENIED_PERIODS if isinstance(why, Denied) else SOON_PERIODS if shown else AGAIN_PERIODS
        return max(self._draw_seconds(periods), self._elector.situation().asked_seconds(why))

    async def _once(self) -> tuple[object, bool, bool]:
        """Run one watch. Returns why it ended (None: normally), whether it showed the Lease, and whether silence ended it."""
        ended, shown, silent = None, False, False
        async with aclosing(self._store.watch()) as events:
            try:
                while True:
                    async with self._clock.timeout(self._silence_seconds(shown=shown)):
                        news = await anext(events, Closed(None))
                    if isinstance(news, Closed):
                        ended = news.why
                        break
                    self._take(news, first=not shown)
                    shown = shown or isinstance(news, Changed)
            except TimeoutError:
                silent = True
        if shown:
            self._silent_at = self._elector.situation().record if silent else None
            self._probation_periods = self._probation_periods if silent else POLL_PERIODS[1]
        if ended is None and not shown:
            ended = Unknown("no event for the Lease arrived in time")
        self._status.unwatched(ended)
        return ended, shown, silent

    def _take(self, news: WatchEvent, *, first: bool) -> None:
        match news:
            case Opened():
                self._status.watched()
            case Changed(record):
                known = self._elector.situation().record
                self._elector.put(Watched(record))
                self._trust(record, known, first=first)
            case Deleted():
                self._elector.put(Doubted())
            case Alive():
                self._elector.put(Confirmed())

    def _trust(self, record: Record, known: Record | None, *, first: bool) -> None:
        """Rely on the watch now that it shows the Lease, unless its news is late, or the watch before it was silent about news.

        A proxy may hold events back. After late news a watch is on probation: it is relied on at its first timely news after that.
        """
        now_ns, late = self._clock.boottime_ns(), known is not None and known.is_later(record)
        if first and self._silent_at is not None and {record, self._elector.situation().record} != {self._silent_at}:
            self._probation_periods = min(4 * self._probation_periods, LONGEST_PROBATION_PERIODS)
            late = True
        if late:
            self._probation_ends_ns = now_ns + ns(self._probation_periods * self._period_seconds)
            self._rely(on=False)
        elif now_ns >= self._probation_ends_ns:
            self._rely(on=True)

    def _silence_seconds(self, *, shown: bool) -> float:
        """How long a watch may be silent. A new watch must show the Lease sooner than one that has shown it.

        When a holder dies every follower's watch is silent. They reconnect at various times (L2), and all before the wait for it is over.
        """
        last = self._elector.situation().last
        promised = last.seconds if last is not None and shown else 0
        shortest = max(SILENT_PERIODS * self._period_seconds, SILENT_PART * promised)
        longest = max(PATIENCE * shortest, promised - LEFT_PERIODS * self._period_seconds)
        return shortest + self._patience * (longest - shortest)
