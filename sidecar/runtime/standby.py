"""Stand-bys (L2): the Lease names up to two followers, and when it is free they try first, one after the other.

So a group of three hands over with no wait and a group of a thousand with one write, and nobody has to know how many they are. To stand by
gives no right: it only says who waits for whom (`Situation.turn_ns`). A stand-by that has gone costs a fraction of a second, and
whoever takes the Lease then strikes it off (`writes.acquire`).
"""

import random
from collections.abc import Coroutine
from typing import Any, Final

from sidecar.election.events import spread_seconds
from sidecar.election.record import SENTINEL, standby_patch
from sidecar.election.situation import Situation
from sidecar.election.store import Conflict, Done, Outcome, Unknown
from sidecar.election.view import State
from sidecar.runtime.context import Context
from sidecar.runtime.elector import Elector

MOST: Final = 2
"""Stand-bys: one that takes the Lease, and one that is there when both go at once."""
VOLUNTEER_SECONDS: Final = 2.0
"""Over so long the candidates spread before one adds itself, as they do for the Lease: a handful of writes in a group of any size."""
AGAIN_SECONDS: Final = 60.0
"""After a failure, or where what was written does not stay: nothing depends on it."""
LAST_SECONDS: Final = 0.5
"""A process that ends has so long to strike itself off; a native sidecar has 2 s in all."""
PROBLEM: Final = "stand-by"
"""Its line in `/readyz?verbose`."""


def wished(situation: Situation) -> tuple[str, ...] | None:
    """Who is to stand by, as far as this candidate itself is concerned; None where that is so, or nobody's to say."""
    record, me = situation.record, situation.me.identity
    if record is None or record.own_term is None or record.holder in (SENTINEL, me) or situation.is_foreign():
        return None
    if stands(situation) == (me in record.standbys):
        return None
    if me in record.standbys:
        return record.standbys_without(me)
    return (*record.standbys, me) if len(record.standbys) < MOST else None


def stands(situation: Situation) -> bool:
    """Whether this candidate would take the Lease."""
    return situation.state is State.FOLLOWING and situation.healthy


class StandBy:
    """Keeps true what the Lease says of one candidate's standing by."""

    def __init__(self, context: Context, elector: Elector, rng: random.Random | None = None) -> None:
        self._elector, self._store, self._clock, self._candidate = elector, context.store, context.clock, context.candidate
        self._status, self._rate_limiter = context.status, context.rate_limiter
        self._random = rng if rng is not None else context.random
        self._tried = ""
        """The version that the last write was conditional on: none is tried twice."""

    def loops(self) -> tuple[Coroutine[Any, Any, None]]:
        """What has to run, beside the election."""
        return (self.run(),)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._wish() is None:
                await self._elector.changed()
                continue
            if self._stands():
                await self._clock.sleep(spread_seconds(1.0 - self._random.random(), VOLUNTEER_SECONDS))
            await self._rate_limiter.acquire(wanted=lambda: self._wish() is not None)
            wish, record = self._wish(), self._elector.situation().record  # decided anew: others may have come meanwhile
            if wish is None or record is None:
                continue
            self._tried = record.version
            outcome = await self._write(wish, record.version)
            self._status.note(PROBLEM, outcome)
            await self._clock.sleep(self._pause_seconds(outcome))

    async def finish(self) -> None:
        """The election has ended: strike itself off, so that nobody waits for who is gone; LAST_SECONDS at most, as the budget allows."""
        me, record, wish = self._candidate.identity, self._elector.situation().record, wished(self._elector.situation())
        try:
            async with self._clock.timeout(LAST_SECONDS):
                while wish is not None and record is not None and not self._elector.left:
                    await self._rate_limiter.acquire(leaving=0)  # the election has ended
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
        """What is to be written now; at the end of the process that is `finish`'s."""
        situation = self._elector.situation()
        tried = situation.record is None or situation.record.version == self._tried
        return None if tried or situation.leaving else wished(situation)

    async def _write(self, standbys: tuple[str, ...], base_version: str) -> Outcome:
        """Conditional on what it was decided on (S5)."""
        limit_seconds = self._candidate.request_limit_seconds
        try:
            async with self._clock.timeout(limit_seconds):
                return await self._store.patch(standby_patch(standbys, base_version))
        except TimeoutError:
            return Unknown(f"no answer within {limit_seconds:g} s")

    def _pause_seconds(self, outcome: Outcome) -> float:
        """How long to let it be: where somebody was faster not at all."""
        stays = isinstance(outcome, Done) and (self._candidate.identity in outcome.record.standbys) == self._stands()
        if isinstance(outcome, Conflict) or stays:
            return 0
        return max(AGAIN_SECONDS * (1 + self._random.random()), self._elector.situation().asked_seconds(outcome))
