"""The part `crash`: from SIGKILL to the leader until the next leader's application knows, and how much of that lies after the expiry."""

import random
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.apiserver.sidecar_process import until
from tests.bench.ground import Ground, LeaseWatch
from tests.bench.teams import ClientGo, Ours, Times

SETTLE_SECONDS: Final = 3.0


def _crash(team: Ours | ClientGo, watch: LeaseWatch, times: Times, wait_seconds: float) -> dict[str, float]:
    """`excess_seconds`: beyond the lease duration from when a watch showed the killed leader's last renewal."""
    team.settle(SETTLE_SECONDS)
    until(lambda: team.leader.identity in watch.last, within_seconds=20, message="the watch shows the leader")
    time.sleep(wait_seconds)  # so that the kills, and with them the ends, lie apart; anywhere in a retry period
    turn = team.turn(signal.SIGKILL)
    seen = watch.last[turn.former]
    return {"seconds": turn.seconds, "excess_seconds": (turn.told_ns - seen.seen_ns) / 1e9 - times.lease_duration}


def crashes(ground: Ground, n: int, elections: int, times: Times, dice: random.Random) -> dict[str, list[dict[str, float]]]:
    """At least `n` of each kind: that many elections of each side by side, each on a Lease of its own, all with the same times."""
    teams: list[Ours | ClientGo] = []
    for _ in range(elections):
        teams += [Ours(ground, ground.field(), times), ClientGo(ground, ground.field(), times)]
    found: dict[str, list[dict[str, float]]] = {Ours.name: [], ClientGo.name: []}
    try:
        for team in teams:
            team.start()
        watches = [LeaseWatch(ground.server, team.where.namespace) for team in teams]
        while min(len(each) for each in found.values()) < n:
            for name, crash in _wave(teams, watches, times, dice):
                found[name].append(crash)
    finally:
        for team in teams:
            team.stop()
    return found


def _wave(teams: Sequence[Ours | ClientGo], watches: Sequence[LeaseWatch], times: Times, dice: random.Random) -> list[tuple[str, Any]]:
    """One crash of each, spread over a lease duration."""
    waits = [times.lease_duration * (number + dice.random()) / len(teams) for number in dice.sample(range(len(teams)), len(teams))]
    with ThreadPoolExecutor(len(teams)) as pool:
        done = [pool.submit(_crash, team, watch, times, wait) for team, watch, wait in zip(teams, watches, waits, strict=True)]
        return [(team.name, one.result()) for team, one in zip(teams, done, strict=True)]
