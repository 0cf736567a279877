"""The objects that the parts of one election share. `runner.py` makes a context for each election of the process."""

import random
from dataclasses import dataclass

from sidecar.clock import Clock
from sidecar.election.requests import Candidate
from sidecar.election.store import Store
from sidecar.runtime.history import History
from sidecar.runtime.leadership import Leadership
from sidecar.runtime.rate_limiter import RateLimiter
from sidecar.runtime.status import Status


@dataclass(frozen=True, slots=True)
class Context:
    """One election's store, clock, candidate and records; no two elections share a context."""

    store: Store
    clock: Clock
    candidate: Candidate
    leadership: Leadership
    status: Status
    history: History
    rate_limiter: RateLimiter
    """Counts every request of this election except a holder's renewals (L2)."""
    random: random.Random
