"""Which revision is current, and who can be handed over to: decision tables over objects as an API server shows them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.election.record import parse_time
from sidecar.features import revisions
from sidecar.features.revisions import Owner, Waiting
from tests.support.workloads import (
    JSON,
    ago,
    controlled_by,
    controller_revision,
    daemon_set,
    deployment,
    pod,
    replica_set,
    stateful_set,
)

NOW_US = parse_time(ago(0)) or 0
WHAT = Waiting("leader", NOW_US, 15_000_000)
OF = ("ReplicaSet", "web-new", "web-new")
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "status", "labels", "containers", "state", "env", "revision", "ownerReferences", "selector"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def web(**changes: Any) -> JSON:
    """A Pod that can be handed over to, but for what is changed."""
    return pod("web-new-a", OF, {}, **changes)


@pytest.mark.parametrize("native", [True, False])
def test_a_pod_whose_containers_have_run_for_a_lease_duration_can_lead(native: bool) -> None:  # noqa: FBT001 - a table
    """With a native sidecar as with a plain one; a one-time init container that has completed is no fault."""
    assert revisions.can_lead(web(native=native), WHAT)
    assert revisions.can_lead(web(native=native, since=ago(15)), WHAT)


@pytest.mark.parametrize(
    "changes",
    [
        {"since": ago(14)},
        {"restarted": ago(14)},
        {"age": ago(14)},
        {"running": False},
        {"since": ago(-3600)},
        {"since": "yesterday"},
        {"deletionTimestamp": ago(0)},
        {"creationTimestamp": "junk"},
    ],
)
def test_a_pod_that_cannot_lead_now(changes: JSON) -> None:
    """Too young, a container that was restarted or does not run, a node's clock that is ahead, times that are none, on its way out."""
    assert not revisions.can_lead(web(**changes), WHAT)


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed", "Unknown", None])
def test_only_a_running_pod_can_lead(phase: str | None) -> None:
    found = web()
    found["status"]["phase"] = phase
    assert not revisions.can_lead(found, WHAT)


def test_a_revision_without_the_sidecar_cannot_lead() -> None:
    """It would never take the Lease."""
    found = web()
    del found["spec"]["initContainers"][1]
    assert not revisions.can_lead(found, WHAT)


def test_the_sidecar_is_told_by_the_setting_that_makes_it_yield() -> None:
    """A variable or a flag; the app's own variables are none of it."""
    assert revisions.sidecar_container(web()) == "leader"
    assert revisions.sidecar_container(web(native=False)) == "leader"
    by_flag = web()
    by_flag["spec"]["initContainers"][1] = {
        "name": "election",
        "restartPolicy": "Always",
        "args": ["--lease-name", "web", "--rollout-handover=true"],
    }
    assert revisions.sidecar_container(by_flag) == "election"
    by_flag["spec"]["initContainers"][1]["args"] = ["--rollout-handovers"]
    assert revisions.sidecar_container(by_flag) == ""


def test_the_controller_is_the_one_owner_that_controls() -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}
    found = {"metadata": {"ownerReferences": [other, *controlled_by("StatefulSet", "web", "s1")]}}
    assert revisions.controller(found) == Owner("StatefulSet", "web", "s1")
    foreign = [{**controlled_by("Rollout", "web", "r1")[0], "apiVersion": "argoproj.io/v1alpha1"}]
    assert revisions.controller({"metadata": {"ownerReferences": foreign}}) is None
    assert revisions.controller(web()) == Owner(*OF)


def test_an_owner_is_settled_when_its_controller_has_seen_its_spec() -> None:
    """Before that its annotation or status tells of the former revision; and who is being deleted rolls nothing out."""
    assert revisions.is_settled(deployment())
    assert not revisions.is_settled(deployment(generation=5, observed=4))
    assert not revisions.is_settled({"metadata": {"generation": 1}, "status": {}})
    gone = deployment()
    gone["metadata"]["deletionTimestamp"] = ago(1)
    assert not revisions.is_settled(gone)


def test_a_daemon_sets_current_revision_has_the_largest_number_whatever_its_age_or_hash() -> None:
    """After an undo the older one has it; another owner's do not count."""
    old, new = controller_revision("zzz", 1), controller_revision("aaa", 2)
    assert revisions.newest_hash([old, new], "ds1") == "aaa"
    assert revisions.newest_hash([old | {"revision": 3}, new], "ds1") == "zzz"
    assert revisions.newest_hash([old, new, controller_revision("bbb", 9, uid="another")], "ds1") == "aaa"
    assert revisions.newest_hash([], "ds1") == ""
    assert revisions.newest_hash([old, new | {"revision": 1}], "ds1") == "", "two of one number: cannot be told"


def test_a_stateful_sets_current_revision_is_its_update_revision() -> None:
    """Not its currentRevision, which is the one that it comes from."""
    assert revisions.update_revision(stateful_set("web-n3w")) == "web-n3w"
    assert revisions.update_revision(daemon_set()) == ""


def test_a_selector_is_written_as_the_api_takes_it() -> None:
    owner = deployment()
    owner["spec"]["selector"] = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "tier", "operator": "NotIn", "values": ["c"]},
            {"key": "x", "operator": "Exists"},
            {"key": "y", "operator": "DoesNotExist"},
        ],
    }
    assert revisions.selector(owner) == "app=web,tier in (a,b),tier notin (c),x,!y"
    owner["spec"]["selector"]["matchExpressions"][0]["operator"] = "Near"
    assert revisions.selector(owner) == "", "what cannot be said selects nothing"


def test_annotations_are_read_and_absent_ones_are_empty() -> None:
    found = replica_set("web-new", 7)
    assert revisions.annotation(found, revisions.DEPLOYMENT_REVISION) == "7"
    assert revisions.annotation(daemon_set(), revisions.DEPLOYMENT_REVISION) == ""
    assert revisions.label(found, revisions.TEMPLATE_HASH) == "new"


@given(JUNK)
def test_no_junk_raises_and_none_can_lead(junk: object) -> None:
    """S10, for objects too."""
    assert not revisions.can_lead(junk, WHAT)
    assert revisions.newest_hash([junk], "ds1") == ""
    assert not revisions.is_settled(junk)
    for function in (
        revisions.controller, revisions.name, revisions.uid, revisions.version, revisions.update_revision, revisions.selector,
        revisions.sidecar_container,
    ):  # fmt: skip
        function(junk)
