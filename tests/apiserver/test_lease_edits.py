"""What others do to the Lease: deleted, emptied, re-created, taken by hand, filled with junk."""

import contextlib
import json
import time
from typing import Any

import pytest

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.sidecar_process import Witness, boottime_ns, the_leader, until
from tests.support.share import first


def test_a_deleted_lease_is_back_in_its_holders_name(ground: Field) -> None:
    """With the optional Role: deleted under the leader it is back, same token, no transition, and nobody ever said false (S7)."""
    sidecars = ground.three(create=True)
    leader = the_leader(sidecars, within_seconds=5)
    token, before = leader.leader()["fencing_token"], ground.lease()
    ground.delete_lease()

    def back() -> dict[str, Any] | None:
        found = ground.server.lease(ground.namespace)
        return found if found and found["spec"].get("holderIdentity") == leader.identity else None

    after = until(back, within_seconds=5)
    assert after is not None
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["leaseTransitions"] == before["spec"]["leaseTransitions"]
    assert f'"token":{token},' in after["metadata"]["annotations"]["leader-sidecar/term"]
    assert leader.leads()
    assert leader.leader()["fencing_token"] == token
    assert leader.log.count("state=leading") == 1


@pytest.mark.parametrize("how", first(["deleted and re-created empty", "deleted"]))
def test_deleted_under_a_leader_that_is_cut_off_it_has_no_leader_until_the_placeholder_expires(ground: Field, how: str) -> None:
    """No other candidate leads before the last promise and the placeholder have expired, and the token is larger (S7, S8)."""
    sidecars = ground.three(proxied=True, create=True, times=SHORT)
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    with Witness(sidecars) as witness:
        ground.proxy_of(leader).mode = type(ground.proxy_of(leader).mode).BLACK_HOLE
        ground.delete_lease()
        if how != "deleted":
            with contextlib.suppress(AssertionError):  # a sidecar may create the placeholder first
                ground.server.create_lease(ground.namespace)
        deleted_ns = boottime_ns()
        following = the_leader(sidecars, within_seconds=3 + 3 + 2, other_than=leader)
        assert boottime_ns() - deleted_ns > 2.9e9
        time.sleep(0.3)
    assert following.leader()["fencing_token"] > token
    witness.check()


def test_without_the_right_to_create_a_deleted_lease_is_said_to_be_missing(ground: Field) -> None:
    """The leader answers until its deadline, then nobody leads; log and /readyz?verbose say what is missing; applied again, one does."""
    sidecars = ground.three(times=SHORT)
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    ground.delete_lease()
    assert leader.leads(), "its deadline lies ahead"
    until(lambda: not any(sidecar.leads() for sidecar in sidecars), within_seconds=2 + 1)
    assert "create" in leader.log
    assert "create" in leader.ask("/readyz?verbose").body.decode()
    assert leader.ask("/readyz").status == 200
    ground.apply_lease()
    following = the_leader(sidecars, within_seconds=3 + 3)
    assert following.leader()["fencing_token"] > token


@pytest.mark.parametrize("edit", first([{"holderIdentity": "somebody-else"}, {"holderIdentity": ""}, {"holderIdentity": None}]), ids=str)
def test_emptied_or_taken_by_hand_the_old_holder_says_false_within_a_second(ground: Field, edit: dict[str, object]) -> None:
    """A seen loss is a loss (S4)."""
    sidecars = ground.three()
    leader = the_leader(sidecars, within_seconds=5)
    token = leader.leader()["fencing_token"]
    ground.kubectl("patch", "lease", "web", "--type=merge", "-p", json.dumps({"spec": edit}))
    until(lambda: not leader.leads(), within_seconds=1)
    following = the_leader(sidecars, within_seconds=15 + 2)
    assert following.leader()["fencing_token"] > token


JUNK: dict[str, dict[str, object]] = {
    "every field missing": {
        "spec": dict.fromkeys(("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"))
    },
    "an hour and more": {"spec": {"leaseDurationSeconds": 2**31 - 1}},
    "one second": {"spec": {"leaseDurationSeconds": 1}},
    "transitions at the end": {"spec": {"leaseTransitions": 2**31 - 1}},
    "a renewal in the year 9999": {"spec": {"renewTime": "9999-12-31T23:59:59.999999Z"}},
    "no JSON in our annotation": {"metadata": {"annotations": {"leader-sidecar/term": "{{{ nonsense"}}},
    "other JSON in our annotation": {"metadata": {"annotations": {"leader-sidecar/term": '{"holder": 7, "token": "x", "process": []}'}}},
    "a token beyond 2^53": {"metadata": {"annotations": {"leader-sidecar/term": '{"holder": "x", "token": 9007199254740993}'}}},
    "annotations up to the limit": {"metadata": {"annotations": {"somebody/large": "x" * (256 * 1024 - 600)}}},
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_with_junk_in_the_lease_somebody_leads_in_the_end(ground: Field, junk: dict[str, object]) -> None:
    """No exception, foreign fields survive the renewals (S10)."""
    sidecars = [ground.sidecar(f"web-{number}", times=SHORT).start().serving() for number in range(2)]
    the_leader(sidecars, within_seconds=5)
    mine = {"metadata": {"annotations": {"somebody/else": "kept"}, "labels": {"somebody": "kept"}}}
    ground.patch_lease(mine)
    with Witness(sidecars) as witness:
        ground.patch_lease(junk)
        time.sleep(1)
        the_leader(sidecars, within_seconds=3 + 3)
        renewed = ground.lease()["spec"].get("renewTime")
        until(lambda: ground.lease()["spec"].get("renewTime") != renewed, within_seconds=3)
    kept = ground.lease()["metadata"]
    assert kept["annotations"]["somebody/else"] == "kept"
    assert kept["labels"]["somebody"] == "kept"
    assert "Traceback" not in "".join(sidecar.log for sidecar in sidecars)
    witness.check()


def test_started_on_a_lease_of_an_absurd_holder_it_waits_an_hour_at_most_and_says_so(ground: Field) -> None:
    """A stranger with leaseDurationSeconds 1 is waited out for a second; nothing of the record is compared with a clock (S6)."""
    spec = {"holderIdentity": "stranger", "leaseDurationSeconds": 1, "renewTime": "1970-01-01T00:00:00.000000Z"}
    ground.patch_lease({"spec": spec})
    began_ns = boottime_ns()
    sidecar = ground.sidecar("web-0", times=SHORT).start().serving()
    until(lambda: sidecar.leader().get("name") == "stranger", within_seconds=5, message="it names the holder")
    assert sidecar.leader()["fencing_token"] is None, "a client-go program shares the Lease"
    until(sidecar.leads, within_seconds=5)
    assert boottime_ns() - began_ns > 1e9


def test_a_lease_that_the_api_server_refuses_to_change_has_no_leader_and_says_why(ground: Field) -> None:
    """Annotations to the brim: our own does not fit, every write is refused as not valid; log and /readyz?verbose say so (S10)."""
    others = sum(len(key) + len(value) for key, value in ground.lease()["metadata"].get("annotations", {}).items())
    room = 256 * 1024 - others - len("somebody/large")
    ground.patch_lease({"metadata": {"annotations": {"somebody/large": "x" * room}}})
    sidecar = ground.sidecar("web-0", times=SHORT).start().serving()
    until(lambda: "patch" in sidecar.ask("/readyz?verbose").body.decode(), within_seconds=5)
    assert "not valid" in sidecar.log or "Invalid" in sidecar.log or "too long" in sidecar.log.lower()
    assert not sidecar.leads()
    ground.patch_lease({"metadata": {"annotations": {"somebody/large": None}}})
    until(sidecar.leads, within_seconds=10)
