"""Three replicas of an application that is nothing but curl in a loop, added to by what k8s/ ships."""

import pytest

from tests.e2e.cluster import container_id
from tests.e2e.node import Node
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)


def test_three_replicas_have_one_leader_within_5_s(workload: Workload) -> None:
    """From the first application's begin, which its sidecar's precedes. The app in the leader's Pod acts, the others wait."""
    pods = workload.deploy()
    told = workload.ledger.next("told", after=0)
    begun = workload.ledger.lines("begun")
    print(f"told {told.seconds - begun[0].seconds:.2f} s after the first application began")
    assert told.seconds - begun[0].seconds <= 5
    mark = workload.ledger.length()
    for _ in range(20):
        mark = workload.ledger.length()
        workload.ledger.next("acts", after=mark)
    assert {line.uid for line in workload.ledger.lines("acts")} == {told.uid}
    assert {line.uid for line in workload.ledger.lines("begun")} == {pod["metadata"]["uid"] for pod in pods}
    assert workload.lease()["spec"]["holderIdentity"].endswith(told.uid)


def test_the_application_has_no_token_and_no_other_right(workload: Workload) -> None:
    """The projected token is in the sidecar's file system alone."""
    pods = workload.deploy(replicas=1)
    name = pods[0]["metadata"]["name"]
    where = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    found = workload.cluster.attempt("-n", workload.namespace, "exec", name, "-c", "app", "--", "cat", where)
    assert found.returncode != 0
    assert "No such file" in found.stderr
    assert all(mount["name"] == "ledger" for mount in pods[0]["spec"]["containers"][0]["volumeMounts"])


def test_what_the_sidecar_weighs(workload: Workload, node: Node) -> None:
    """As the node's kernel counts it, a minute's worth of an idle leader; the bound is the limit that its manifest sets."""
    pods = workload.deploy(replicas=1)
    workload.leader()
    pids = node.container_pids(container_id(pods[0], "leader"))
    assert pids
    resident = node.resident_bytes(pids)
    print(f"the sidecar: {resident / 1e6:.1f} MB resident in {len(pids)} process")
    assert resident < 128 * 1024 * 1024
