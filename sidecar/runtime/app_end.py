"""Waits after SIGTERM for the application's end, where it still lives although a setting says that it ends first (S11)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sidecar.clock import Clock, ns, seconds
from sidecar.election.situation import Situation

QUIET_SECONDS: Final = 0.5
"""After so long without a sign of life the application has ended. A living application asks again sooner, when its poll is answered."""
LOOK_SECONDS: Final = 0.05
"""The time between two looks for signs of life."""
LOOK_LIVES_SECONDS: Final = 0.1
"""The time between two looks while a connection is open: the application may live for long."""


class Sign(Protocol):
    """A sign of life of the application."""

    @property
    def asks(self) -> int:
        """How often the application has asked so far."""

    def lives(self) -> bool:
        """Whether the application certainly lives at this moment; false where that cannot be told."""


def awaited(known: Situation, now_ns: int, lives: str) -> str:
    """What a process that was told to stop waits for, in words; "" for nothing. `lives`: what shows that the application still acts."""
    if known.ended(now_ns):
        return ""
    if known.held is None:
        return "the answer to a write that is under way"
    rest_ns = known.release_ns - now_ns
    if rest_ns <= 0:
        return "the release of the Lease"
    shown = f" ({lives})" if lives else ""
    return f"the application may still act{shown}: waits at most {seconds(rest_ns):.1f} s, or until POST /drained"


async def quiet(signs: Sequence[Sign], clock: Clock) -> None:
    """Return when none of `signs` has shown life for QUIET_SECONDS."""
    asks, since_ns = -1, 0
    while True:
        asked, lives = sum(sign.asks for sign in signs), any(sign.lives() for sign in signs)
        if asked != asks or lives:
            asks, since_ns = asked, 0
        if not lives:
            since_ns = since_ns or clock.boottime_ns()
            if clock.boottime_ns() - since_ns >= ns(QUIET_SECONDS):
                return
        await clock.sleep(LOOK_LIVES_SECONDS if lives else LOOK_SECONDS)


async def passed(until_ns: Callable[[], int], clock: Clock) -> None:
    """Return when CLOCK_BOOTTIME has reached the moment that `until_ns` gives, which may move meanwhile."""
    while (end_ns := until_ns()) > clock.boottime_ns():
        await clock.wait(asyncio.Event(), end_ns)
