"""One election for a test that counts requests, or is about something else: its candidate never stands by."""

import random

from sidecar.clock import Clock
from sidecar.leadership import Leadership
from sidecar.runner import Runner
from sidecar.stores.protocol import Store
from sidecar.writes import Candidate


class NoStandBy(Runner):
    """As a sidecar of an older version."""

    def __init__(self, store: Store, clock: Clock, leadership: Leadership, candidate: Candidate, rng: random.Random | None = None) -> None:
        super().__init__(store, clock, leadership, candidate, rng)
        self.standby = None
