"""Watches that fail on the way while reads and writes pass: real sidecars, a real API server, a real proxy."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.gate import Asked, Fate, Gate
from tests.apiserver.sidecar_process import Sidecar, the_leader

LEASE_SECONDS, RETRY_SECONDS = 3, 0.5
RELEASE_SECONDS = 1.5 * RETRY_SECONDS
CRASH_SECONDS = LEASE_SECONDS + 1 + 1.5 * RETRY_SECONDS
ROOM_SECONDS = 1.5
"""For a noisy machine, a dozen sidecars on it; a release and it end before a lease duration does."""
STARTS_SECONDS = 60.0
"""Many start side by side."""
SETTLED_SECONDS = 2.0 * LEASE_SECONDS
"""A watch that falls silent is met more than once."""


def _status(code: int, reason: str) -> dict[str, object]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "from the proxy", "reason": reason, "code": code}


KINDS = {
    "closed": Fate(events=0),
    "shown": Fate(events=1),
    "503": Fate(status=503, body=_status(503, "ServiceUnavailable")),
    "410": Fate(status=200, body={"type": "ERROR", "object": _status(410, "Expired")}),
    "429": Fate(status=429, body=_status(429, "TooManyRequests"), retry_after="3600"),
    "silent": Fate(events=0, silent=True),
    "half-open": Fate(events=1, silent=True),
}
"""What becomes of each watch, by the name of the group. 410 as an event: the API server's own way to say so."""


@dataclass
class Group:
    """Two sidecars in a namespace of their own, all of whose watches fail in one way."""

    kind: str
    ground: Field
    gate: Gate

    def watches(self, asked: Asked) -> Fate:
        """The group's fate for a watch, none for other requests."""
        return KINDS[self.kind] if "watch=1" in asked.path else Fate()

    @property
    def leader(self) -> Sidecar:
        """Who leads."""
        return the_leader(self.ground.sidecars, within_seconds=LEASE_SECONDS + 2)

    @property
    def follower(self) -> Sidecar:
        """The other one."""
        leader = self.leader
        return next(sidecar for sidecar in self.ground.sidecars if sidecar is not leader)


@pytest.fixture
def groups(grounds: Callable[[str], Field]) -> Iterator[list[Group]]:
    """One for each kind, all at once."""
    found: list[Group] = []
    with ExitStack() as stack:
        for kind in KINDS:
            ground = grounds(kind)
            group = Group(kind, ground, stack.enter_context(Gate(ground.server)))
            group.gate.fate = group.watches
            for number in range(2):
                ground.sidecar(f"web-{number}", port=group.gate.port, times=SHORT, LEADER_NATIVE_SIDECAR="true").start()
            found.append(group)
        for sidecar in (sidecar for group in found for sidecar in group.ground.sidecars):
            sidecar.serving(STARTS_SECONDS).informed()
        yield found


def name_their_leaders(pairs: list[tuple[Group, Sidecar, Sidecar]], seconds: float) -> None:
    """Each follower does, all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for group, leader, follower in pairs:
            answer = follower.leader()
            assert answer["name"] == leader.name, f"{group.kind}: {answer}\n{follower.log}"
        time.sleep(0.05)


def taken(pairs: list[tuple[Group, Sidecar, Sidecar]], number: signal.Signals, within_seconds: float) -> None:
    """All leaders end by that signal: how long until each follower leads."""
    began, took = {}, dict[str, float]()
    for group, leader, _ in pairs:
        began[group.kind] = time.monotonic()
        leader.signal(number)
    while len(took) < len(pairs):
        for group, _, follower in pairs:
            age = time.monotonic() - began[group.kind]
            if group.kind not in took and follower.leads():
                took[group.kind] = age
            assert group.kind in took or age < within_seconds, f"{group.kind}: {follower.name} does not lead\n{follower.log}"
        time.sleep(0.01)
    print(f"{number.name}: " + ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in sorted(took.items())))
    for _, leader, _ in pairs:
        assert leader.wait(5) in {0, -number}


@pytest.mark.timeout(240)
def test_release_and_crash_are_taken_in_time_and_the_follower_names_the_leader_throughout(groups: list[Group]) -> None:
    """L1 where it must poll: after a release within 1.5 retry periods, after a crash within lease duration + 1 s + 1.5 retry periods. The
    leader's own watches fail in the same way, and it goes on leading.
    """
    pairs = [(group, group.leader, group.follower) for group in groups]
    name_their_leaders(pairs, SETTLED_SECONDS)
    taken(pairs, signal.SIGTERM, RELEASE_SECONDS + ROOM_SECONDS)
    for _, former, leader in pairs:
        former.start().serving(STARTS_SECONDS).informed(leader.name)
    pairs = [(group, leader, former) for group, former, leader in pairs]
    name_their_leaders(pairs, SETTLED_SECONDS)
    taken(pairs, signal.SIGKILL, CRASH_SECONDS + ROOM_SECONDS)
    assert all(group.gate.asked for group in groups)
