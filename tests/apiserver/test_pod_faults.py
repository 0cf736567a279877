"""The own Pod's label and condition, and the Events, while one kind of request is slow, loses its answer, or is refused."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.apiserver.conftest import Field
from tests.apiserver.gate import Fate, Gate
from tests.apiserver.own_pod import RULES, changes, create_pod, events, in_its_pod, label, pod, role, says, two, version
from tests.apiserver.sidecar_process import Sidecar, the_leader, until

LATE_SECONDS = 0.06
"""Far longer than a release takes, and well within the 0.2 s that it waits for the Pod at most."""


def posted(gate: Gate, reason: str) -> list[str]:
    """The names of the Events with that reason that were to be created, one for each try."""
    return [str(asked.body["metadata"]["name"]) for asked in gate.asked if asked.method == "POST" and asked.body.get("reason") == reason]


def alone(ground: Field, gate: Gate) -> Sidecar:
    """web-0, started, with all rights, through the gate."""
    sidecar = in_its_pod(ground, "web-0", port=gate.port)
    ground.grant(sidecar, role(*RULES))
    return sidecar.start().serving()


@pytest.mark.parametrize("how", ["SIGTERM", "drained"])
def test_a_release_waits_until_the_pod_says_follower(ground: Field, gate: Gate, how: str) -> None:
    """Each patch of a Pod is slow, no write of the Lease is: by resourceVersions the label is taken back first all the same."""
    old = the_leader(two(ground, port=gate.port), within_seconds=5)
    new = next(sidecar for sidecar in ground.sidecars if sidecar is not old)
    until(lambda: says(ground, old.name, "leader") and says(ground, new.name, "follower"), within_seconds=5)
    since = str(max(version(found) for found in (ground.lease(), pod(ground, old.name), pod(ground, new.name))))
    gate.fate = lambda asked: Fate(late_seconds=LATE_SECONDS if asked.method == "PATCH" and "/pods/" in asked.path else 0)
    if how == "SIGTERM":
        old.signal(signal.SIGTERM)
        assert old.wait(5) == 0
    else:
        assert old.ask("/drained", method="POST", body={"token": old.leader()["fencing_token"]}).status == 200
    until(lambda: says(ground, new.name, "leader"), within_seconds=5)
    leases = changes(ground, f"/apis/coordination.k8s.io/v1/namespaces/{ground.namespace}/leases", since)
    pods = changes(ground, f"/api/v1/namespaces/{ground.namespace}/pods", since)
    given_up = min(version(lease) for lease in leases if lease["spec"].get("holderIdentity") != old.identity)
    follower = [version(found) for found in pods if found["metadata"]["name"] == old.name and label(found) == "follower"]
    assert min(follower) < given_up
    of_two = [found["metadata"]["name"] for found in pods if label(found) == "leader" and version(found) >= given_up]
    assert set(of_two) == {new.name}, "nobody else is called leader from then on"


def test_a_pod_that_is_called_leader_by_a_former_life_is_set_right_at_the_start(ground: Field) -> None:
    """By a sidecar that has led nowhere: as soon as it answers, another leading, and no change of its own answer to come."""
    leader = in_its_pod(ground, "web-0")
    stale = in_its_pod(ground, "web-1", uid=create_pod(ground, "web-1", **{"leader-sidecar/role": "leader"}))
    for sidecar in (leader, stale):
        ground.grant(sidecar, role(*RULES))
    leader.start().serving()
    until(leader.leads, within_seconds=5)
    assert label(pod(ground, stale.name)) == "leader"
    stale.start().serving()
    until(lambda: says(ground, stale.name, "follower"), within_seconds=3)
    assert leader.leads()


def test_an_event_whose_answer_was_lost_is_tried_again_under_its_name_and_stands_there_once(ground: Field, gate: Gate) -> None:
    """The API server has it; the sidecar cannot know, tries again, and takes what is there for written."""
    gate.fate = lambda asked: Fate(answer_is_lost=asked.method == "POST" and len(posted(gate, "BecameLeader")) == 1)
    sidecar = alone(ground, gate)
    names = until(lambda: tries if len(tries := posted(gate, "BecameLeader")) > 1 else [], within_seconds=10)
    assert len(set(names)) == 1
    until(lambda: "events works again" in sidecar.log, within_seconds=5)
    assert "[-]events" not in sidecar.ask("/readyz?verbose").body.decode()
    assert sidecar.ask("/drained", method="POST", body={"token": sidecar.leader()["fencing_token"]}).status == 200
    until(lambda: posted(gate, "Resigned"), within_seconds=5)
    until(lambda: [event["reason"] for event in events(ground)][:2] == ["BecameLeader", "Resigned"], within_seconds=5)
    assert [event["metadata"]["name"] for event in events(ground)].count(names[0]) == 1


@pytest.fixture(params=[("Forbidden", 403), ("Invalid", 422)], ids=["403", "422"])
def no_news_of_a_leader(ground: Field, request: pytest.FixtureRequest) -> Iterator[int]:
    """An admission policy under which no Event may tell who became leader; the status that it refuses with."""
    reason, status = request.param
    name = f"no-news-{ground.namespace}"
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    rule = {"apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"]}
    where = {"matchLabels": {"kubernetes.io/metadata.name": ground.namespace}}
    validation = {"expression": "object.reason != 'BecameLeader'", "message": "no news", "reason": reason}
    match = {"resourceRules": [rule], "namespaceSelector": where}
    policy = kind | {"kind": "ValidatingAdmissionPolicy", "spec": {"matchConstraints": match, "validations": [validation]}}
    bound = kind | {"kind": "ValidatingAdmissionPolicyBinding", "spec": {"policyName": name, "validationActions": ["Deny"]}}
    ground.server.apply(policy, bound)
    try:
        until(lambda: _tried(ground) == status, within_seconds=30, message="the policy is in force")
        yield status
    finally:
        for what in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            ground.kubectl("delete", what, name)


def _tried(ground: Field) -> int:
    """What an administrator who tries to tell it is answered."""
    body: dict[str, Any] = {
        "metadata": {"name": "try"}, "eventTime": "2026-11-23T08:00:00.000000Z", "type": "Normal", "reason": "BecameLeader",
        "action": "Acquire", "reportingController": "test", "reportingInstance": "test",
        "regarding": {"kind": "Lease", "namespace": ground.namespace, "name": "web"},
    }  # fmt: skip
    return ground.server.request("POST", f"/apis/events.k8s.io/v1/namespaces/{ground.namespace}/events?dryRun=All", body)[0]


def test_an_event_that_is_refused_is_dropped_and_the_next_one_is_written(ground: Field, gate: Gate, no_news_of_a_leader: int) -> None:
    """Said with the status, tried once, and it stands in no other's way."""
    sidecar = alone(ground, gate)
    until(lambda: "[-]events failed" in sidecar.ask("/readyz?verbose").body.decode(), within_seconds=5)
    assert f"HTTP {no_news_of_a_leader}" in sidecar.ask("/readyz?verbose").body.decode()
    assert sidecar.leads()
    assert sidecar.ask("/resign", method="POST", body={"for": "1s"}).status == 200
    assert sidecar.ask("/drained", method="POST").status == 200
    until(lambda: [event["reason"] for event in events(ground)] == ["Resigned"], within_seconds=5)
    until(lambda: "events works again" in sidecar.log, within_seconds=5)
    assert len(posted(gate, "BecameLeader")) == 1
