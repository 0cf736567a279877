"""A leader that is stopped, cut off, or whose API server is gone: its answer ends by itself."""

import signal
import time

import pytest

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.sidecar_process import Witness, boottime_ns, the_leader, until
from tests.support.share import first


def test_a_stopped_leader_never_answers_true_beside_the_next(ground: Field) -> None:
    """SIGSTOP for lease_duration + 5 s, polled through SIGCONT: at no instant do two answers say true, and its first one is false (S2)."""
    sidecars = ground.three(times=SHORT)
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    with Witness(sidecars) as witness:
        time.sleep(0.5)
        leader.signal(signal.SIGSTOP)
        stopped_ns = boottime_ns()
        the_leader(sidecars, within_seconds=3 + 2, other_than=leader)
        while boottime_ns() - stopped_ns < 8e9:
            time.sleep(0.1)
        continued_ns = boottime_ns()
        leader.signal(signal.SIGCONT)
        until(lambda: leader.leader().get("state") == "following", within_seconds=2)
        time.sleep(1)
    late = [row for row in witness.acting if row.token == token and row.from_ns > continued_ns]
    assert not late, "the first answer after SIGCONT is false"
    witness.check()


@pytest.mark.parametrize("how", first(["stopped", "refused"]))
def test_without_an_api_server_the_leader_says_false_by_its_deadline(ground: Field, how: str) -> None:
    """Its process stopped with connections held open, or connections refused: false within renew_deadline of the last successful send;
    afterwards exactly one leads, with a larger token.
    """
    sidecars = ground.three(times=SHORT)
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    with Witness(sidecars) as witness:
        if how == "stopped":
            ground.server.pause()
        else:
            ground.server.kill_apiserver()
        gone_ns = boottime_ns()
        try:
            until(lambda: not any(sidecar.leads() for sidecar in sidecars), within_seconds=2 + 1)
            assert boottime_ns() - gone_ns < 3e9
            assert [sidecar.ask("/livez").status for sidecar in sidecars] == [200] * 3, (
                "an outage of the API server is no reason to restart"
            )
            assert [sidecar.ask("/readyz").status for sidecar in sidecars] == [200] * 3
            time.sleep(2)
            assert leader.leader()["name"] == "", "nobody is known to lead"
        finally:
            if how == "stopped":
                ground.server.resume()
            else:
                ground.server.start_apiserver()
        following = the_leader(sidecars, within_seconds=3 + 3)
        time.sleep(1)
    assert following.leader()["fencing_token"] > token
    assert [sidecar.leads() for sidecar in sidecars].count(True) == 1
    assert "Traceback" not in "".join(sidecar.log for sidecar in sidecars)
    witness.check()


def test_a_restart_of_the_api_server_shorter_than_the_deadline_moves_nothing(ground: Field) -> None:
    """With 15/10/2 a restart of a few seconds is no transition (L3)."""
    sidecars = ground.three()
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    ground.server.kill_apiserver()
    ground.server.start_apiserver()
    end_ns = boottime_ns() + 12e9
    while boottime_ns() < end_ns:
        assert leader.leader()["fencing_token"] == token
        assert leader.leads()
        time.sleep(0.1)


def test_slow_replies_and_then_nothing_is_no_overlap(ground: Field) -> None:
    """A proxy delays the leader's replies by 4.9 s, then drops everything: the hole of client-go, whose deadline counts from the reply."""
    sidecars = ground.three(proxied=True)
    leader = the_leader(sidecars, within_seconds=5)
    proxy = ground.proxy_of(leader)
    with Witness(sidecars) as witness:
        proxy.slow(4.9)
        time.sleep(6.9)
        proxy.mode = type(proxy.mode).BLACK_HOLE
        following = the_leader(sidecars, within_seconds=25, other_than=leader)
        time.sleep(3)
        proxy.heal()
        proxy.reset()
        until(lambda: leader.leader().get("name") == following.name, within_seconds=10)
    assert len(witness.check()) >= 2


@pytest.mark.parametrize("replies", first(["lost", "all lost"]))
def test_a_leader_whose_replies_are_lost_ends_in_time(ground: Field, replies: str) -> None:
    """Its renewals land and it cannot know: an unknown outcome extends nothing (S3); nobody leads beside it."""
    sidecars = ground.three(proxied=True, times=SHORT)
    leader = the_leader(sidecars, within_seconds=5)
    proxy = ground.proxy_of(leader)
    with Witness(sidecars) as witness:
        proxy.mode = type(proxy.mode).LOSE_REPLIES if replies == "lost" else type(proxy.mode).BLACK_HOLE
        until(lambda: not leader.leads(), within_seconds=2 + 1)
        time.sleep(4)
        proxy.heal()
        proxy.reset()
        the_leader(sidecars, within_seconds=3 + 3)
        time.sleep(1)
    witness.check()
