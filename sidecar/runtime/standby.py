"""Stand-bys (L2): the Lease names up to two followers. When it becomes free these try first, one after the other.

So a small group hands over without a wait, a group of a thousand with one write, and no candidate has to know the size of its group. A
standby has no right to the Lease: the list only tells who waits for whom (`election/turns.py`). A standby that has ended costs a fraction
of a second, once: the candidate that takes the Lease then removes it from the list (`requests.acquire`).
"""

import random
from collections.abc import Coroutine
from typing import Any, Final

from sidecar.election.record import PLACEHOLDER, standby_patch
from sidecar.election.situation import Situation
from sidecar.election.store import Conflict, Done, Outcome, Unknown
from sidecar.election.turns import spread_seconds
from sidecar.election.view import State
from sidecar.runtime.context import Context
from sidecar.runtime.elector import Elector
from sidecar.runtime.health_lines import HealthLine

MOST: Final = 2
"""Stand-bys: the first takes the Lease, the second is there when the holder and the first end at the same time."""
VOLUNTEER_SECONDS: Final = 2.0
"""Followers volunteer spread over this time, as they do for the Lease itself: a handful of writes in a group of any size."""
AGAIN_SECONDS: Final = 60.0
"""The pause after a failed write, or after one that another program has undone: nothing depends on standbys."""
LAST_SECONDS: Final = 0.5
"""The longest that a process spends at its end on removing itself from the standbys. A native sidecar has 2 s for its whole end."""


def wished(situation: Situation) -> tuple[str, ...] | None:
    """The list of standbys that this candidate should write: with or without itself. None where there is nothing to write."""
    record, me = situation.record, situation.me.identity
    if record is None or record.own_term is None or record.holder in (PLACEHOLDER, me) or situation.is_foreign():
        return None
    if stands(situation) == (me in record.standbys):
        return None
    if me in record.standbys:
        return record.standbys_without(me)
    return (*record.standbys, me) if len(record.standbys) < MOST else None


def stands(situation: Situation) -> bool:
    """Whether this candidate would take a free Lease."""
    return situation.state is State.FOLLOWING and situation.healthy


class StandBy:
    """Keeps the Lease's list of standbys right as far as one candidate is concerned."""

    def __init__(self, context: Context, elector: Elector, rng: random.Random | None = None) -> None:
        self._elector, self._store, self._clock, self._candidate = elector, context.store, context.clock, context.candidate
        self._status, self._rate_limiter = context.status, context.rate_limiter
        self._random = rng if rng is not None else context.random
        self._tried = ""
        """The version that the last write was conditional on: there is one write for each version at most."""

    def loops(self) -> tuple[Coroutine[Any, Any, None]]:
        """The loops that run beside the election."""
        return (self.run(),)

    async def run(self) -> None:
        """Add this candidate to the list, or remove it, whenever the list is wrong; until cancelled."""
        while True:
            if self._wish() is None:
                await self._elector.changed()
                continue
            if self._stands():
                await self._clock.sleep(spread_seconds(1.0 - self._random.random(), VOLUNTEER_SECONDS))
            await self._rate_limiter.acquire(wanted=lambda: self._wish() is not None)
            wish, record = self._wish(), self._elector.situation().record  # decided anew: the list may have changed meanwhile
            if wish is None or record is None:
                continue
            self._tried = record.version
            outcome = await self._write(wish, record.version)
            self._status.note(HealthLine.STANDBY, outcome)
            await self._clock.sleep(self._pause_seconds(outcome))

    async def finish(self) -> None:
        """After the election: remove this candidate from the list, so that no other waits for it. Gives up after LAST_SECONDS."""
        me, record, wish = self._candidate.identity, self._elector.situation().record, wished(self._elector.situation())
        try:
            async with self._clock.timeout(LAST_SECONDS):
                while wish is not None and record is not None and not self._elector.left:
                    await self._rate_limiter.acquire(leaving=0)  # the election has ended, and needs no share any more
                    if not isinstance(await self._write(wish, record.version), Conflict):
                        return
                    await self._rate_limiter.acquire(leaving=0)
                    found = await self._store.read()
                    record = found.record if isinstance(found, Done) else None
                    wish = record.standbys_without(me) if record is not None and me in record.standbys else None
        except TimeoutError:
            return

    def _stands(self) -> bool:
        return stands(self._elector.situation())

    def _wish(self) -> tuple[str, ...] | None:
        """The list to write now, or None. At the end of the process `finish` alone writes."""
        situation = self._elector.situation()
        tried = situation.record is None or situation.record.version == self._tried
        return None if tried or situation.leaving else wished(situation)

    async def _write(self, standbys: tuple[str, ...], base_version: str) -> Outcome:
        """Write the list, on condition that the Lease still has the version on which the list was decided (S5)."""
        limit_seconds = self._candidate.request_limit_seconds
        try:
            async with self._clock.timeout(limit_seconds):
                return await self._store.patch(standby_patch(standbys, base_version))
        except TimeoutError:
            return Unknown(f"no answer within {limit_seconds:g} s")

    def _pause_seconds(self, outcome: Outcome) -> float:
        """How long to pause after a write: not at all where it landed, or where another write was faster."""
        stays = isinstance(outcome, Done) and (self._candidate.identity in outcome.record.standbys) == self._stands()
        if isinstance(outcome, Conflict) or stays:
            return 0
        return max(AGAIN_SECONDS * (1 + self._random.random()), self._elector.situation().asked_seconds(outcome))
