"""The part `flat`: memory over many handovers of the same processes, and during an outage of the API server."""

import time
from collections.abc import Callable
from typing import Any, Final

from tests.apiserver.sidecar_process import Sidecar, until
from tests.bench.ground import Ground
from tests.bench.processes import memory
from tests.bench.teams import LIMIT_SECONDS, SHORTER, Ours
from tests.bench.weight import waiting

WARM_UP: Final = 50
"""Handovers before the first measurement, so that each sidecar has led and followed, and has loaded everything for that."""


def _hand_over(team: Ours, leader: Sidecar) -> Sidecar:
    """The leader's application reports that it has stopped. Returns the next leader, by the answer to its application."""
    token = leader.leader()["fencing_token"]
    assert leader.ask("/drained", method="POST", body={"token": token}).status == 200
    following, _ = team.told.get(timeout=LIMIT_SECONDS)
    return following


def flat(ground: Ground, handovers: int, outage_seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Resident MB of three sidecars, at 3/2/0.5 so that many handovers take little time: the same processes all the while."""
    ours = Ours(ground, ground.field(), SHORTER)
    looks: dict[str, list[float]] = {}

    def look(when: str) -> None:
        looks[when] = [memory(sidecar.pid).rss_mb for sidecar in ours.sidecars]
        say(f"{when}: {looks[when]} MB")

    try:
        ours.start()
        leader = ours.leader
        for sidecar in ours.sidecars:
            waiting(sidecar)  # a scrape loads what it needs
        for number in range(WARM_UP + handovers):
            if number == WARM_UP:
                look(f"after {WARM_UP} handovers")
            leader = _hand_over(ours, leader)
        look(f"after {handovers} more")
        ground.server.pause()
        try:
            time.sleep(outage_seconds)
        finally:
            ground.server.resume()
        ours.told.get(timeout=LIMIT_SECONDS)
        until(lambda: all(sidecar.leader().get("name") for sidecar in ours.sidecars), within_seconds=LIMIT_SECONDS, message="all know")
        look(f"after {outage_seconds:g} s without an API server")
        return {"handovers": handovers, "outage_seconds": outage_seconds, "rss_mb": looks}
    finally:
        ours.stop()
