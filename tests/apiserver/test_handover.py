"""From one leader to the next: released, drained, killed."""

import http.client
import signal
import threading
import time
from functools import partial

import pytest

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.sidecar_process import Sidecar, Witness, boottime_ns, the_leader, until
from tests.support.share import first

ROOM_SECONDS = 1.5
"""The rule says 200 ms (looked at in what the test prints); a noisy machine is given room."""


class Waiter(threading.Thread):
    """An app that waits on its own sidecar's long-poll until it leads, and notes when it was told."""

    def __init__(self, sidecar: Sidecar) -> None:
        super().__init__(daemon=True)
        self.sidecar = sidecar
        self.told_ns = 0
        self.since = sidecar.leader()["version"]
        self.start()

    def run(self) -> None:
        """Poll until told, or until the sidecar is gone."""
        answer: dict[str, object] = {"is_leader": False, "version": self.since}
        while not answer["is_leader"]:
            try:
                answer = self.sidecar.ask(f"/leader?since={answer['version']}&wait=30s", limit_seconds=40).json
            except (OSError, http.client.HTTPException):
                return
        self.told_ns = boottime_ns()


def _told(waiters: list[Waiter]) -> list[Waiter]:
    return [waiter for waiter in waiters if waiter.told_ns]


def _renewed_at_us(ground: Field) -> str:
    return str(ground.lease()["spec"]["renewTime"])


@pytest.mark.parametrize("rounds", first([6, 20]))
def test_a_graceful_stop_hands_over_in_milliseconds_every_time(ground: Field, rounds: int) -> None:
    """Under LEADER_NATIVE_SIDECAR SIGTERM releases at once: another leads and its app has been told by its long-poll; the old one said
    false before it released, and ends with 0.
    """
    sidecars = ground.three(LEADER_NATIVE_SIDECAR="true")
    handovers_ms, exits_ms, tokens = [], [], []
    with Witness(sidecars, every_seconds=0.002) as witness:
        for _ in range(rounds):
            leader = the_leader(sidecars, within_seconds=5)
            others = [sidecar for sidecar in sidecars if sidecar is not leader]
            for sidecar in others:
                sidecar.informed(leader.name)
            tokens.append(leader.leader()["fencing_token"])
            waiters = [Waiter(sidecar) for sidecar in others]
            time.sleep(0.05)  # their polls are parked
            witness.ended(leader, tokens[-1])
            began_ns = boottime_ns()
            leader.signal(signal.SIGTERM)
            told = until(partial(_told, waiters), within_seconds=10, every_seconds=0.001)
            handovers_ms.append((told[0].told_ns - began_ns) / 1e6)
            assert leader.wait(3) == 0
            exits_ms.append((boottime_ns() - began_ns) / 1e6)
            leader.start().serving()
    witness.check()
    assert tokens == sorted(set(tokens))
    handovers_ms.sort()
    middle, worst, exits = handovers_ms[rounds // 2], handovers_ms[-1], max(exits_ms)
    print(f"SIGTERM -> the next leader's app told: p50 {middle:.0f} ms, max {worst:.0f} ms (n {rounds}); exit within {exits:.0f} ms")
    assert handovers_ms[-1] < ROOM_SECONDS * 1000


def test_a_graceful_stop_tells_the_app_before_it_releases(ground: Field) -> None:
    """A poll parked at the leader is answered false while the Lease is still the leader's, or at the latest with its release."""
    leader = ground.sidecar("web-0", times=SHORT).start().serving()
    until(leader.leads, within_seconds=5)
    version = leader.leader()["version"]
    seen: list[tuple[dict[str, object], str]] = []

    def parked() -> None:
        answer = leader.ask(f"/leader?since={version}&wait=30s", limit_seconds=40).json
        seen.append((answer, ground.lease()["spec"].get("holderIdentity", "")))

    poll = threading.Thread(target=parked)
    poll.start()
    time.sleep(0.1)
    leader.signal(signal.SIGTERM)
    poll.join(10)
    answer, holder = seen[0]
    assert answer["is_leader"] is False
    assert answer["state"] == "stepping-down"
    assert holder == leader.identity, "the Lease was still its own when the app heard"
    assert leader.wait(10) == 0
    assert ground.lease()["spec"]["holderIdentity"] == ""


def test_a_stop_keeps_every_deadline_that_was_given(ground: Field) -> None:
    """Under the default SIGTERM says false at once and releases when the last given deadline is behind: nobody leads before (S11)."""
    sidecars = ground.three(times=SHORT)
    with Witness(sidecars, every_seconds=0.01) as witness:
        leader = the_leader(sidecars, within_seconds=10)
        leader.signal(signal.SIGTERM)
        until(lambda: not leader.leads(), within_seconds=1, message="false at once")
        the_leader(sidecars, within_seconds=3 + 1, other_than=leader)
        assert leader.wait(5) == 0
        until(lambda: len(witness.terms()) == 2, within_seconds=5, message="the witness sees the next term as well")
    witness.check()


def test_drained_makes_the_handover_quick(ground: Field) -> None:
    """POST /drained while stepping down releases at once; before it, while leading, it is refused and changes nothing."""
    sidecars = ground.three()
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    assert leader.ask("/drained", method="POST").status == 409
    assert leader.ask("/drained", method="POST", body={"token": token - 1}).status == 409
    assert leader.leads()
    with Witness(sidecars) as witness:
        leader.signal(signal.SIGTERM)
        until(lambda: leader.leader().get("state") == "stepping-down", within_seconds=1)
        assert leader.leader()["expires_in"] > 0, "work in flight is still covered"
        witness.stopped_acting(leader, token)
        began_ns = boottime_ns()
        assert leader.ask("/drained", method="POST").status == 200
        the_leader(sidecars, within_seconds=ROOM_SECONDS, other_than=leader)
        assert (boottime_ns() - began_ns) / 1e9 < ROOM_SECONDS
        assert leader.wait(2) == 0
    witness.check()


def test_drained_with_the_token_ends_that_term_alone(ground: Field) -> None:
    """With its token the app may end a term that leads; retried in the next term it is refused."""
    sidecars = ground.three(times=SHORT)
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    assert leader.ask("/drained", method="POST", body={"token": token}).status == 200
    assert not leader.leads()
    following = the_leader(sidecars, within_seconds=ROOM_SECONDS, other_than=leader)
    assert following.leader()["fencing_token"] > token
    assert following.ask("/drained", method="POST", body={"token": token}).status == 409
    assert following.leads()


@pytest.mark.parametrize("times", [{}, SHORT], ids=["15/10/2", "3/2/0.5"])
def test_after_a_kill_another_leads_when_the_lease_has_run_out_and_soon(ground: Field, times: dict[str, str]) -> None:
    """Never before lease_duration after the last renewal, and within lease_duration + 1 s of it."""
    lease_duration = 3 if times else 15
    sidecars = ground.three(times=times)
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    with Witness(sidecars) as witness:
        began_ns = not_before_ns = boottime_ns()
        renewed = _renewed_at_us(ground)
        while _renewed_at_us(ground) == renewed:
            not_before_ns, began_ns = began_ns, boottime_ns()  # the renewal came after a look that had not seen it began
        renewed_ns = boottime_ns()
        leader.kill()
        following = the_leader(sidecars, within_seconds=lease_duration + 5, other_than=leader)
        until(lambda: [row for row in witness.acting if row.token != token], within_seconds=5)
    first = next(row for row in witness.terms() if row.token != token)
    elapsed = (first.from_ns - renewed_ns) / 1e9
    print(f"SIGKILL -> the next leader: {elapsed - lease_duration:+.3f} s beside the lease duration of {lease_duration} s")
    witness.check()
    assert following.leader()["fencing_token"] > token
    assert (first.from_ns - not_before_ns) / 1e9 >= lease_duration, "never before lease_duration has run"
    assert elapsed < lease_duration + 1


def test_a_sidecar_killed_and_restarted_at_once_resumes_its_term(ground: Field) -> None:
    """In its own place and with its identity it leads on: same token, no transition (S9 b)."""
    sidecars = ground.three()
    leader = the_leader(sidecars, within_seconds=5)
    before = ground.lease()
    token = leader.leader()["fencing_token"]
    with Witness(sidecars) as witness:
        leader.kill()
        leader.start().serving()
        until(leader.leads, within_seconds=5)
        assert leader.leader()["fencing_token"] == token
        after = ground.lease()
        time.sleep(3)
        assert leader.leads()
    assert after["spec"]["leaseTransitions"] == before["spec"]["leaseTransitions"]
    assert after["spec"]["acquireTime"] == before["spec"]["acquireTime"]
    assert [row.token for row in witness.terms()] == [token]
