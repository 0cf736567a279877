"""Graceful handover: from SIGTERM to the leader until the next leader's application knows, all teams in turn."""

import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.ground import Ground
from tests.bench.racers import Minimum
from tests.bench.targets import GO_MINIMUM, PYTHON_MINIMUM
from tests.bench.teams import ClientGo, Ours, Team
from tests.binaries.build import ensure

SETTLE_SECONDS: Final = 2.5
"""How long everybody has followed before the next turn: more than a retry period."""


def all_teams(ground: Ground) -> list[Team]:
    """The sidecar, client-go at its defaults, and the theoretical minimum in both languages; not started."""
    inside = ground.interpreter
    python = inside.script(Path(__file__).with_name("minimum.py"))
    go = (str(ensure("bench")["bench"]), "minimum")
    return [
        Ours(ground, ground.field()),
        ClientGo(ground, ground.field()),
        Minimum(PYTHON_MINIMUM, ground, ground.field(), python, inside.environ()),
        Minimum(GO_MINIMUM, ground, ground.field(), go, {}),
    ]


@contextmanager
def playing(teams: Sequence[Team]) -> Iterator[None]:
    """Started, and ended at the end."""
    try:
        for team in teams:
            team.start()
        yield
    finally:
        for team in teams:
            team.stop()


def handovers(teams: Sequence[Team], n: int, dice: random.Random, settle_seconds: float = SETTLE_SECONDS) -> dict[str, list[float]]:
    """Seconds of each handover, by team: `n` rounds, in each of which every team has one turn, in an order that is drawn."""
    took: dict[str, list[float]] = {team.name: [] for team in teams}
    for _ in range(n):
        for team in dice.sample(teams, len(teams)):
            team.settle(settle_seconds)
            took[team.name].append(team.turn(signal.SIGTERM).seconds)
    return took
