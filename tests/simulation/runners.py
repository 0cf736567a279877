"""One election for a test that counts requests, or is about something else: its candidate never stands by."""

import random

from sidecar.clock import Clock
from sidecar.election.requests import Candidate
from sidecar.election.store import Store
from sidecar.runtime.leadership import Leadership
from sidecar.runtime.runner import Runner


class NoStandBy(Runner):
    """As a sidecar of an older version."""

    def __init__(self, store: Store, clock: Clock, leadership: Leadership, candidate: Candidate, rng: random.Random | None = None) -> None:
        super().__init__(store, clock, leadership, candidate, rng)
        self.standby = None
