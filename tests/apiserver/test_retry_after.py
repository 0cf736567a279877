"""A proxy answers one request with 429 and `Retry-After: 3600`: no candidate is kept from a free Lease for an hour (L2)."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.apiserver.conftest import Field
from tests.apiserver.gate import Asked, Fate, Gate
from tests.apiserver.sidecar_process import Sidecar, Witness, at_once, until

SIX = {"LEADER_LEASE_DURATION": "6s", "LEADER_RENEW_DEADLINE": "4s", "LEADER_RETRY_PERIOD": "1s", "LEADER_APP_ENDS_FIRST": "true"}
TWELVE = SIX | {"LEADER_LEASE_DURATION": "12s", "LEADER_RENEW_DEADLINE": "8s"}
"""The longer one where an end of the wait by news is to be told from its end by its bound."""
ROOM_SECONDS = 2.0
Grounds = Callable[[str], Field]


class Once:
    """Answers the first request of a kind so; everything else passes."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.done = False
        self.more = 0
        """How many of that kind have come since."""

    def __call__(self, asked: Asked) -> Fate:
        """What becomes of it."""
        if kind_of(asked) != self._kind:
            return Fate()
        if self.done:
            self.more += 1
            return Fate()
        self.done = True
        return Fate(status=429, retry_after="3600")


def kind_of(asked: Asked) -> str:
    """`watch`, `read`, `acquire`, or `stand-by` for a patch that touches no spec."""
    if asked.method == "PATCH":
        return "acquire" if "spec" in asked.body else "stand-by"
    return "watch" if "watch=1" in asked.path else "read"


@contextmanager
def turned_away(ground: Field, kind: str, times: dict[str, str]) -> Iterator[tuple[Sidecar, Sidecar, Once]]:
    """A leader and a follower whose first request of that kind is answered so; the follower has seen who leads."""
    with Gate(ground.server) as gate:
        gate.fate = once = Once(kind)
        leader = ground.sidecar("web-0", times=times).start().serving()
        until(leader.leads, within_seconds=10)
        follower = ground.sidecar("web-1", times=times, port=gate.port).start().serving()
        if kind != "acquire":
            until(lambda: once.done, within_seconds=10, message=f"a {kind} of the follower")
        follower.informed(leader.name)
        yield leader, follower, once


def test_after_a_429_that_asks_for_an_hour_the_next_leads_as_soon_as_it_may(grounds: Grounds) -> None:
    """Whichever request it was: a version that is seen free ends the wait, and else it is over within a lease duration."""
    parts = {name: grounds(name) for name in ("read", "watch", "acquire", "read-crash", "watch-crash", "acquire-crash")}
    at_once(
        lambda: released_after(parts["read"], "read", within_seconds=1.5 + ROOM_SECONDS),
        lambda: released_after(parts["watch"], "watch", within_seconds=12 + 1.5 + ROOM_SECONDS),
        lambda: released_anew(parts["acquire"]),
        lambda: crashed_after(parts["read-crash"], "read"),
        lambda: crashed_after(parts["watch-crash"], "watch"),
        lambda: crashed_after(parts["acquire-crash"], "acquire"),
    )


def released_after(ground: Field, kind: str, *, within_seconds: float) -> None:
    """A graceful release is taken within 1.5 retry periods by whom its watch tells of it; else it is polled for once the wait is over."""
    with turned_away(ground, kind, TWELVE) as (leader, follower, once), Witness([leader, follower], every_seconds=0.02) as witness:
        end(leader, witness)
        until(follower.leads, within_seconds=within_seconds, message=f"after a 429 to its {kind}\n{follower.log}")
        if kind == "watch":
            until(lambda: once.more, within_seconds=12 + ROOM_SECONDS, message=f"it watches anew\n{follower.log}")
        witness.check()


def released_anew(ground: Field) -> None:
    """The acquiring patch was turned away and another one led meanwhile: what is released then is taken within 1.5 retry periods."""
    with turned_away(ground, "acquire", TWELVE) as (leader, follower, once), Witness([leader, follower], every_seconds=0.02) as witness:
        end(leader, witness)
        until(lambda: once.done, within_seconds=1.5 + ROOM_SECONDS, message="the follower would acquire")
        leader.start().serving()
        until(leader.leads, within_seconds=5)
        follower.informed(leader.name)
        end(leader, witness)
        until(follower.leads, within_seconds=1.5 + ROOM_SECONDS, message=f"a version that is seen free ends the wait\n{follower.log}")
        witness.check()


def crashed_after(ground: Field, kind: str) -> None:
    """After the leader's SIGKILL the follower leads within two lease durations."""
    with turned_away(ground, kind, SIX) as (leader, follower, once), Witness([leader, follower], every_seconds=0.02) as witness:
        killed = time.monotonic()
        leader.kill()
        until(follower.leads, within_seconds=2 * 6 + ROOM_SECONDS, message=f"after a 429 to its {kind}\n{follower.log}")
        took_seconds = time.monotonic() - killed
        assert once.done
        assert took_seconds > 6 - 4
        witness.check()


def end(leader: Sidecar, witness: Witness) -> None:
    """A graceful end: the application first, then the sidecar, which releases."""
    witness.stopped_acting(leader, leader.leader()["fencing_token"])
    leader.signal(signal.SIGTERM)
    leader.wait(5)
