"""A proxy answers one request with 429 and `Retry-After: 3600`: no candidate is kept from a free Lease for an hour (L2)."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.apiserver.conftest import Field
from tests.apiserver.gate import Asked, Fate, Gate
from tests.apiserver.sidecar_process import Sidecar, Witness, at_once, until

SIX = {"LEADER_LEASE_DURATION": "6s", "LEADER_RENEW_DEADLINE": "4s", "LEADER_RETRY_PERIOD": "1s", "LEADER_NATIVE_SIDECAR": "true"}
THIRTY = SIX | {"LEADER_LEASE_DURATION": "30s", "LEADER_RENEW_DEADLINE": "20s"}
"""Where the end of a wait by news is to be told from its end by its bound."""
ROOM_SECONDS = 2.0
STARTS_SECONDS = 60.0
"""Many start side by side."""
Grounds = Callable[[str], Field]


class Once:
    """Answers the first request of each of these kinds so; everything else passes."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds
        self.seen: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Fate:
        """What becomes of it."""
        kind = kind_of(asked)
        self.seen[kind] += 1
        return Fate(status=429, retry_after="3600") if kind in self.kinds and self.seen[kind] == 1 else Fate()


def kind_of(asked: Asked) -> str:
    """`watch`, `read`, `acquire`, or `stand-by` for a patch that touches no spec."""
    if asked.method == "PATCH":
        return "acquire" if "spec" in asked.body else "stand-by"
    return "watch" if "watch=1" in asked.path else "read"


@contextmanager
def turned_away(ground: Field, once: Once, times: dict[str, str]) -> Iterator[tuple[Sidecar, Sidecar, Witness]]:
    """A leader, and a follower that knows who leads and whose requests are answered so."""
    with Gate(ground.server) as gate:
        gate.fate = once
        leader = ground.sidecar("web-0", times=times).start().serving(STARTS_SECONDS)
        until(leader.leads, within_seconds=10)
        follower = ground.sidecar("web-1", times=times, port=gate.port).start().serving(STARTS_SECONDS)
        follower.informed(leader.name)
        until(lambda: all(once.seen[kind] for kind in once.kinds if kind != "acquire"), within_seconds=10, message=f"{once.kinds}")
        with Witness([leader, follower], every_seconds=0.02) as witness:
            yield leader, follower, witness
        witness.check()


def test_after_a_429_that_asks_for_an_hour_the_next_leads_as_soon_as_it_may(grounds: Grounds) -> None:
    """Whichever request it was: a version that is seen free ends the wait, and else it is over within a lease duration."""
    parts = {name: grounds(name) for name in ("read", "watch", "acquire", "crash")}
    at_once(
        lambda: after_a_read(parts["read"]),
        lambda: after_a_watch(parts["watch"]),
        lambda: after_an_acquisition(parts["acquire"]),
        lambda: after_a_crash(parts["crash"]),
    )


def after_a_read(ground: Field) -> None:
    """A graceful release is taken within 1.5 retry periods: the watch tells of it."""
    with turned_away(ground, Once("read"), THIRTY) as (leader, follower, witness):
        end(leader, witness)
        until(follower.leads, within_seconds=1.5 + ROOM_SECONDS, message=f"after a 429 to its read\n{follower.log}")


def after_a_watch(ground: Field) -> None:
    """No watch tells of the release: the Lease is taken once the wait is over, and watched anew."""
    once = Once("watch")
    with turned_away(ground, once, SIX) as (leader, follower, witness):
        end(leader, witness)
        until(follower.leads, within_seconds=6 + 1.5 + ROOM_SECONDS, message=f"after a 429 to its watch\n{follower.log}")
        until(lambda: once.seen["watch"] > 1, within_seconds=6 + ROOM_SECONDS, message=f"it watches anew\n{follower.log}")


def after_an_acquisition(ground: Field) -> None:
    """The acquiring patch was turned away and another one led meanwhile: what is released then is taken within 1.5 retry periods."""
    once = Once("acquire")
    with turned_away(ground, once, THIRTY) as (leader, follower, witness):
        end(leader, witness)
        until(lambda: once.seen["acquire"], within_seconds=1.5 + ROOM_SECONDS, message="the follower would acquire")
        leader.start().serving(STARTS_SECONDS)
        until(leader.leads, within_seconds=10)
        follower.informed(leader.name)
        end(leader, witness)
        until(follower.leads, within_seconds=1.5 + ROOM_SECONDS, message=f"a version that is seen free ends the wait\n{follower.log}")


def after_a_crash(ground: Field) -> None:
    """After the leader's SIGKILL the follower leads within two lease durations, its read and its acquiring patch turned away."""
    once = Once("read", "acquire")
    with turned_away(ground, once, SIX) as (leader, follower, _):
        leader.kill()
        until(follower.leads, within_seconds=2 * 6 + ROOM_SECONDS, message=f"after a 429 to its read and its patch\n{follower.log}")
        assert once.seen["acquire"] > 1


def end(leader: Sidecar, witness: Witness) -> None:
    """A graceful end: the application first, then the sidecar, which releases."""
    witness.ended(leader, leader.leader()["fencing_token"])
    leader.signal(signal.SIGTERM)
    leader.wait(5)
