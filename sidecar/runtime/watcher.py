"""Keeps a watch on the Lease for one election, and polls for as long as none shows it.

Two loops. The watcher opens one watch after the other, out of what the election can spare (L2). The poller has the Lease read every 1 to
1.4 retry periods, unless a watch can be relied on (L1): also while a new one connects, or is open and shows nothing.
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
"""Between two polls, in retry periods (L1: within 1.5)."""
SOON_PERIODS: Final = (0.1, 0.5)
"""After a watch that showed the Lease, the next one: spread, so that a group does not come back all at once."""
AGAIN_PERIODS: Final = (4.2, 5.6)
"""After one that showed nothing: at least three polls later."""
DENIED_PERIODS: Final = (30, 42)
"""Where the watch is denied somebody has to grant it first."""
SILENT_PERIODS: Final = 2
"""A watch may say nothing for so many retry periods, or for SILENT_PART of what the holder promises: its renewals may be slower."""
SILENT_PART: Final = 0.5
PATIENCE: Final = 1.2
"""Some of a group wait so much longer, or until LEFT_PERIODS before the promise ends: the next watch, or a poll, still hears of a holder
that lives.
"""
LEFT_PERIODS: Final = 2
LONGEST_PROOF_PERIODS: Final = 90
"""For how long a watch has to prove itself, at most: the longer, the more of those before it fell silent while there was news."""


class Watcher:
    """One candidate's watch; what it hears it puts into its election."""

    def __init__(self, context: Context, elector: Elector) -> None:
        self._elector, self._store, self._clock, self._random = elector, context.store, context.clock, context.random
        self._status, self._rate_limiter = context.status, context.rate_limiter
        self._period_seconds = context.candidate.retry_period_seconds
        self._patience = random.Random(context.candidate.process).random()  # noqa: S311 - not for secrets
        self._needed, self._relied = asyncio.Event(), asyncio.Event()
        """Polls are needed, or the watch is relied on: one of the two is set."""
        self._needed.set()
        self._told_ns = self._clock.boottime_ns()
        """When a poll was called for last, or a watch was relied on: the next poll counts from there."""
        self._silent_at: Record | None = None
        """What was known when the last watch that showed the Lease fell silent; None where that one did not."""
        self._proof_periods = POLL_PERIODS[1]
        self._proven_ns = 0
        """What comes before this moment (CLOCK_BOOTTIME) makes no watch one to rely on: it brought its news too late, or not at all."""

    def loops(self) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
        """What has to run, beside the election."""
        return self.run(), self.poll()

    def _draw_seconds(self, periods: tuple[float, float]) -> float:
        return self._period_seconds * self._random.uniform(*periods)

    # ---- the poller ---------------------------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Poll for ever, while no watch is relied on."""
        while True:
            await self._needed.wait()
            told_ns = self._told_ns
            await self._clock.wait(self._relied, told_ns + ns(self._draw_seconds(POLL_PERIODS)))
            if self._needed.is_set() and self._told_ns == told_ns:  # else a watch has shown it meanwhile
                self._told_ns = self._clock.boottime_ns()
                self._doubt()

    def _doubt(self) -> None:
        """Have the Lease read, unless something else tells as much, which a read would only hold up (L1).

        That is a holder's renewal that has landed, and a conditional write that waits for nothing but the budget (S5).
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
        """Watch for ever."""
        follows = False
        """The watch before showed the Lease until it ended."""
        while True:
            await self._rate_limiter.acquire()
            why, shown, silent = await self._once()
            self._rely(on=False)
            if follows and not shown:
                self._doubt()  # nobody has told yet what has happened since that one ended
            follows = shown
            if not (shown and silent):  # else at once: it was patient enough, and not all of a group are equally patient
                await self._clock.sleep(self._pause_seconds(why, shown=shown))

    def _pause_seconds(self, why: object, *, shown: bool) -> float:
        """Until the next one."""
        periods = DENIED_PERIODS if isinstance(why, Denied) else SOON_PERIODS if shown else AGAIN_PERIODS
        return max(self._draw_seconds(periods), self._elector.situation().asked_seconds(why))

    async def _once(self) -> tuple[object, bool, bool]:
        """One watch: why it ended (None: as agreed), whether it showed the Lease, and whether silence was what ended it."""
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
            self._proof_periods = self._proof_periods if silent else POLL_PERIODS[1]
        if ended is None and not shown:
            ended = Unknown("it shows nothing")
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
        """Rely on a watch that shows the Lease, unless it tells what a read has told before, or one before it was silent about news.

        A proxy may hold back what it carries: such a watch has to bring news in time, a while later, before it is relied on.
        """
        now_ns, late = self._clock.boottime_ns(), known is not None and known.is_later(record)
        if first and self._silent_at is not None and {record, self._elector.situation().record} != {self._silent_at}:
            self._proof_periods = min(4 * self._proof_periods, LONGEST_PROOF_PERIODS)
            late = True
        if late:
            self._proven_ns = now_ns + ns(self._proof_periods * self._period_seconds)
            self._rely(on=False)
        elif now_ns >= self._proven_ns:
            self._rely(on=True)

    def _silence_seconds(self, *, shown: bool) -> float:
        """How long a watch may say nothing. A new one shows the Lease at once, or something is wrong.

        When a holder dies its whole group hears nothing: they watch anew at various times (L2), and all before its promise has run out.
        """
        last = self._elector.situation().last
        promised = last.seconds if last is not None and shown else 0
        shortest = max(SILENT_PERIODS * self._period_seconds, SILENT_PART * promised)
        longest = max(PATIENCE * shortest, promised - LEFT_PERIODS * self._period_seconds)
        return shortest + self._patience * (longest - shortest)
