"""The own Pod's label and condition, and Events on the Lease, at a real API server: in which order they come, and with which rights."""

import json
import signal
import time

import pytest

from tests.apiserver.conftest import Field
from tests.apiserver.own_pod import (
    RULES,
    changes,
    condition,
    create_pod,
    delete_pod,
    events,
    in_its_pod,
    label,
    pod,
    role,
    says,
    two,
    version,
)
from tests.apiserver.proxy import Mode
from tests.apiserver.sidecar_process import the_leader, until


@pytest.mark.parametrize("how", ["SIGTERM", "resign"])
def test_a_handover_is_taken_back_before_the_release_and_marked_after_the_acquisition(ground: Field, how: str) -> None:
    """By resourceVersions: the old leader's label or condition, the release, the acquisition, the new leader's label or condition."""
    sidecars = two(ground)
    old = the_leader(sidecars, within_seconds=5)
    new = next(sidecar for sidecar in sidecars if sidecar is not old)
    until(lambda: says(ground, old.name, "leader") and says(ground, new.name, "follower"), within_seconds=5)
    since = str(max(version(found) for found in (ground.lease(), pod(ground, old.name), pod(ground, new.name))))
    if how == "SIGTERM":
        began = time.monotonic()
        old.signal(signal.SIGTERM)
        assert old.wait(2) == 0
        took_seconds = time.monotonic() - began
        assert took_seconds < 1.5, "a native sidecar may have 2 s in all"
    else:
        assert old.ask("/resign", method="POST", body={}).status == 200
        until(lambda: old.leader()["state"] == "stepping-down", within_seconds=2)
        assert old.ask("/drained", method="POST").status == 200
    until(lambda: says(ground, new.name, "leader"), within_seconds=5)
    leases = changes(ground, f"/apis/coordination.k8s.io/v1/namespaces/{ground.namespace}/leases", since)
    pods = changes(ground, f"/api/v1/namespaces/{ground.namespace}/pods", since)
    released = min(version(lease) for lease in leases if not lease["spec"].get("holderIdentity"))
    acquired = min(version(lease) for lease in leases if lease["spec"].get("holderIdentity") == new.identity)
    mine = [found for found in pods if found["metadata"]["name"] == old.name]
    theirs = [found for found in pods if found["metadata"]["name"] == new.name]
    assert min(version(found) for found in mine if label(found) == "follower") < released
    assert min(version(found) for found in mine if condition(found).get("status") == "False") < released
    assert acquired > released
    assert min(version(found) for found in theirs if label(found) == "leader") > acquired
    assert min(version(found) for found in theirs if condition(found).get("status") == "True") > acquired
    at_once = {found["metadata"]["name"]: label(found) for found in [pod(ground, old.name), pod(ground, new.name)]}
    assert at_once == {old.name: "follower", new.name: "leader"}
    assert pod(ground, new.name)["metadata"]["labels"]["app"] == "web", "what is not its own stays"


def test_the_condition_says_since_when_and_why(ground: Field) -> None:
    """The lastTransitionTime moves with the status and stays over a restart of the sidecar."""
    follower, leader = sorted(two(ground), key=lambda sidecar: sidecar.leads())
    until(lambda: says(ground, leader.name, "leader") and says(ground, follower.name, "follower"), within_seconds=5)
    first = condition(pod(ground, follower.name))
    assert first["reason"] == "NotLeading"
    assert "does not lead" in first["message"]
    assert condition(pod(ground, leader.name))["reason"] == "Leading"
    time.sleep(1.1)  # the time has whole seconds
    follower.kill()
    follower.start().serving().informed(leader.name)
    until(lambda: "leader-sidecar/role" in json.dumps(pod(ground, follower.name)), within_seconds=2)
    time.sleep(0.5)
    assert condition(pod(ground, follower.name)) == first
    leader.signal(signal.SIGTERM)
    until(lambda: says(ground, follower.name, "leader"), within_seconds=5)
    assert condition(pod(ground, follower.name))["lastTransitionTime"] > first["lastTransitionTime"]


def test_a_stale_label_of_a_former_process_is_corrected(ground: Field) -> None:
    """A leader is killed; its sidecar comes back when another leads."""
    sidecars = two(ground)
    old = the_leader(sidecars, within_seconds=5)
    new = next(sidecar for sidecar in sidecars if sidecar is not old)
    until(lambda: says(ground, old.name, "leader"), within_seconds=5)
    old.kill()
    until(lambda: says(ground, new.name, "leader"), within_seconds=8)
    assert says(ground, old.name, "leader"), "nobody is there to take it back"
    old.start().serving()
    until(lambda: says(ground, old.name, "follower"), within_seconds=3)


def test_a_leader_that_is_cut_off_keeps_its_label_until_the_api_server_is_back(ground: Field) -> None:
    """Nobody can take it back from outside; then it is set right, with no restart."""
    sidecars = two(ground, proxied="yes")
    old = the_leader(sidecars, within_seconds=5)
    new = next(sidecar for sidecar in sidecars if sidecar is not old)
    until(lambda: says(ground, old.name, "leader"), within_seconds=5)
    ground.proxy_of(old).mode = Mode.BLACK_HOLE
    until(lambda: says(ground, new.name, "leader"), within_seconds=8)
    assert not old.leads()
    assert says(ground, old.name, "leader")
    ground.proxy_of(old).heal()
    until(lambda: says(ground, old.name, "follower"), within_seconds=8)
    assert old.log.count("pod label failed") >= 1
    until(lambda: "pod label works again" in old.log, within_seconds=2)


@pytest.mark.parametrize(("resource", "what"), [("pods", "pod label"), ("pods/status", "pod condition"), ("events", "events")])
def test_each_right_is_needed_and_a_missing_one_is_said_once_and_holds_nothing_up(ground: Field, resource: str, what: str) -> None:
    """Verb and resource in the log and in /readyz?verbose; it leads and hands over as ever; granted, it works without a restart."""
    sidecar = in_its_pod(ground, "web-0")
    ground.grant(sidecar, role(*(other for other in RULES if other != resource)))
    sidecar.start().serving()
    until(sidecar.leads, within_seconds=5)
    until(lambda: f"[-]{what} failed" in sidecar.ask("/readyz?verbose").body.decode(), within_seconds=5)
    time.sleep(2)
    (line,) = [line for line in sidecar.log.splitlines() if f"{what} failed" in line]
    ((verb,),) = (rule["verbs"] for rule in RULES[resource])
    assert f"verb {verb} on {resource}" in line
    assert sidecar.ask("/readyz").status == 200
    assert sidecar.leads()
    assert done(ground) == {one: one != resource for one in RULES}, "what is allowed is done, and nothing else"
    ground.grant(sidecar, role(resource))
    if what == "events":  # what was refused is dropped: the next one tries anew
        assert sidecar.ask("/drained", method="POST", body={"token": sidecar.leader()["fencing_token"]}).status == 200
    until(lambda: f"{what} works again" in sidecar.log, within_seconds=0.5 * (2 * 15 + 2))
    assert done(ground) == dict.fromkeys(RULES, True)


def done(ground: Field) -> dict[str, bool]:
    """By the resource of the right: what has been written for web-0."""
    found = pod(ground, "web-0")
    return {"pods": label(found) is not None, "pods/status": condition(found) != {}, "events": bool(events(ground))}


def test_a_namesake_of_another_life_is_not_touched(ground: Field) -> None:
    """The Pod was deleted and made anew (a StatefulSet): its uid is another, so the former sidecar's patches are refused."""
    former = create_pod(ground, "web-0")
    delete_pod(ground, "web-0")
    gone = in_its_pod(ground, "web-0", uid=former)
    ground.grant(gone, role(*RULES))
    gone.start().serving()
    until(lambda: "not found" in gone.ask("/readyz?verbose").body.decode(), within_seconds=5)
    create_pod(ground, "web-0")
    until(lambda: "metadata.uid" in gone.ask("/readyz?verbose").body.decode(), within_seconds=20)
    assert gone.leads(), "an election goes on"
    found = pod(ground, "web-0")
    assert label(found) is None
    assert condition(found) == {}


def test_events_tell_who_became_leader_and_why_it_stopped(ground: Field) -> None:
    """And kubectl shows them at the Lease."""
    sidecars = two(ground)
    old = the_leader(sidecars, within_seconds=5)
    new = next(sidecar for sidecar in sidecars if sidecar is not old)
    token = old.leader()["fencing_token"]
    assert old.ask("/resign", method="POST", body={"to": new.name}).status == 200
    assert old.ask("/drained", method="POST").status == 200
    until(new.leads, within_seconds=5)
    new.signal(signal.SIGTERM)
    assert new.wait(2) == 0
    found = until(lambda: events(ground) if len(events(ground)) >= 4 else [], within_seconds=5)
    lease = ground.lease()
    told = [(event["reason"], event["reportingInstance"], event["type"]) for event in found]
    assert told[:4] == [
        ("BecameLeader", old.name, "Normal"),
        ("Resigned", old.name, "Normal"),
        ("BecameLeader", new.name, "Normal"),
        ("StoppedLeading", new.name, "Normal"),
    ]
    assert f"fencing token {token}" in found[0]["note"]
    assert f"in favour of {new.name}" in found[1]["note"]
    assert "the process was told to stop" in found[3]["note"]
    assert {event["reportingController"] for event in found} == {"leader-sidecar"}
    assert {event["regarding"]["uid"] for event in found} == {lease["metadata"]["uid"]}
    assert "BecameLeader" in ground.kubectl("describe", "lease", "web")
    assert "Resigned" in ground.kubectl("events", "--for", "lease/web")


@pytest.mark.parametrize(
    ("on", "rules", "said"),
    [
        ("LEADER_POD_LABEL", ["pods"], "the Pod's terminationGracePeriodSeconds is too short"),
        ("", [], "make sure that its terminationGracePeriodSeconds is at least"),
        ("", ["get"], "the Pod's terminationGracePeriodSeconds is too short"),
    ],
    ids=["seen in the label's patch", "without a right", "read"],
)
def test_a_drain_timeout_beyond_the_grace_period_is_told_at_the_start(ground: Field, on: str, rules: list[str], said: str) -> None:
    """The Pod has Kubernetes' default, 30 s."""
    off = {name: "true" if name == on else "false" for name in ("LEADER_POD_LABEL", "LEADER_POD_CONDITION", "LEADER_EVENTS")}
    sidecar = in_its_pod(ground, "web-0", LEADER_DRAIN_TIMEOUT="45s", **off)  # type: ignore[arg-type] # settings
    reads = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    for rule in rules:
        ground.grant(sidecar, role(rule) if rule == "pods" else role() | {"metadata": {"name": "reads"}, "rules": [reads]})
    sidecar.start().serving()
    until(lambda: said in sidecar.log, within_seconds=10)
    (line,) = [line for line in sidecar.log.splitlines() if "terminationGracePeriodSeconds" in line]
    assert "needs_seconds=47" in line
    assert ("WARNING" in line) == ("too short" in said)
