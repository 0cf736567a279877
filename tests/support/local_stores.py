"""Local stores for tests, and other processes that use the same file."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sidecar.clock import SystemClock
from sidecar.election.record import Record, merge_patch
from sidecar.election.store import Alive, Changed, Done, Outcome, WatchEvent
from sidecar.local.store import LocalStore

ROOT = Path(__file__).parents[2]
HELD = Record(version="", holder="web-0_u1", duration_seconds=15, acquire_time_us=1, renew_time_us=2, transitions=0)
FREE = Record(version="")


_OPEN: list[LocalStore] = []


def opened(path: Path, name: str = "web", clock: SystemClock | None = None) -> LocalStore:
    """A store of Lease shop/web, or another; closed by `close_all`."""
    _OPEN.append(LocalStore(str(path), "shop", name, clock or SystemClock()))
    return _OPEN[-1]


def close_all() -> None:
    """Close what the test has opened, without a loop."""
    while _OPEN:
        _OPEN.pop()._let_go()


async def record(store: LocalStore) -> Record:
    return done(await store.read())


def done(outcome: Outcome) -> Record:
    assert isinstance(outcome, Done), outcome
    return outcome.record


def on(base: Record, written: Record = HELD) -> dict[str, Any]:
    return merge_patch(written, base.version)


def spawn(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Another process with this code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def until_changed(events: AsyncIterator[WatchEvent]) -> list[WatchEvent]:
    """What a watch tells up to the next change."""
    news: list[WatchEvent] = []
    async for event in events:
        news += [] if isinstance(event, Alive) else [event]
        if isinstance(event, Changed):
            break
    return news
