"""Keeps a watch on the Lease for one election, and polls where there can be none."""

import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from sidecar.clock import Clock
from sidecar.events import Confirmed, Doubted, Watched
from sidecar.stores.protocol import Alive, Busy, Changed, Closed, Deleted, Denied, Opened, Store, Unknown, WatchEvent

if TYPE_CHECKING:
    from sidecar.elector import Elector

POLL_JITTER: Final = 0.4
"""Without a watch a follower reads every 1 to 1.4 retry periods (L1: within 1.5)."""
REWATCH_PERIODS: Final = 30
"""Where the watch is denied it is tried again after this many retry periods."""
LONGEST_PATIENCE: Final = 1.8
"""When a holder dies its whole group hears nothing: they watch anew at various times (L2), and all before its promise has run out."""


class Watching:
    """One candidate's watch; what it hears it puts into its election."""

    def __init__(self, elector: "Elector", store: Store, clock: Clock, rng: random.Random) -> None:
        self._elector, self._store, self._clock, self._random = elector, store, clock, rng
        self._patience = random.Random(elector.candidate.instance).uniform(1, LONGEST_PATIENCE)  # noqa: S311 - not for secrets

    async def run(self) -> None:
        """Watch for ever; without a watch, poll. Each attempt comes out of the budget, never out of the holder's renewals."""
        put, period_seconds = self._elector.put, self._elector.candidate.retry_period_seconds
        while True:
            await self._elector.allowed()
            why = await self._once()
            if why is None or isinstance(why, Unknown):
                if why is not None:  # else the next one begins with the present state: nothing is to be read
                    put(Doubted())
                await self._clock.sleep(period_seconds * self._random.uniform(0.1, 0.5))
                continue
            for _ in range(REWATCH_PERIODS if isinstance(why, Denied) else 1):
                put(Doubted())
                asked_seconds = why.retry_after_seconds if isinstance(why, Busy) else 0
                await self._clock.sleep(max(period_seconds * (1 + POLL_JITTER * self._random.random()), asked_seconds))

    async def _once(self) -> object:
        """One watch, until it ends: why it did; None where it has shown the Lease and was only silent, or ended as agreed."""
        ended, shown = None, False
        async with aclosing(self._store.watch()) as events:
            try:
                while True:
                    async with self._clock.timeout(self._silence_seconds(shown=shown)):
                        news = await anext(events, Closed(None))
                    if isinstance(news, Closed):
                        ended = news.why
                        break
                    shown = shown or isinstance(news, Changed)
                    self._take(news)
            except TimeoutError:
                pass
        if ended is None and not shown:
            ended = Unknown("it shows nothing")
        self._elector.status.unwatched(ended)
        return ended

    def _take(self, news: WatchEvent) -> None:
        match news:
            case Opened():
                self._elector.status.watched()
            case Changed(record):
                self._elector.put(Watched(record))
            case Deleted():
                self._elector.put(Doubted())
            case Alive():
                self._elector.put(Confirmed())

    def _silence_seconds(self, *, shown: bool) -> float:
        """How long a watch may say nothing: two retry periods, or half of what the holder promises (its renewals are slower), and more.

        A new one shows the Lease at once, or something is wrong.
        """
        last = self._elector.situation().last
        promised = last.seconds if last is not None and shown else 0
        return self._patience * max(2 * self._elector.candidate.retry_period_seconds, promised / 2)
