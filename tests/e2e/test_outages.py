"""The node's own programs go away and come back."""

import time

import pytest

from tests.e2e.node import Node
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)


def test_a_kubelet_that_is_stopped_and_started_changes_nothing(workload: Workload, node: Node) -> None:
    """Containers run on without it: the same leader acts on, under the same token."""
    workload.deploy()
    first = workload.leader()
    token = workload.ledger.lines("acts")[-1].token
    node.end_kubelet()
    for _ in range(40):  # some two seconds of work
        workload.leader()
    node.start_kubelet()
    node.wait_ready()
    workload.running(3)
    workload.leader()
    last = workload.ledger.lines("acts")[-1]
    assert (last.uid, last.token) == (first, token)
    assert len(workload.ledger.lines("begun")) == 3, "an application was restarted"


def test_an_api_server_that_is_restarted_changes_nothing(workload: Workload, node: Node) -> None:
    """Quicker than the renew deadline, no transition; slower, the leader's application stops by its deadline, and one leads afterwards."""
    workload.deploy()
    first = workload.leader()
    began = time.monotonic()
    token = workload.ledger.lines("acts")[-1].token
    node.end_apiserver()
    node.start_apiserver()
    took = time.monotonic() - began
    node.wait_ready()
    workload.leader()
    last = workload.ledger.lines("acts")[-1]
    print(f"the API server was away for {took:.1f} s; {'the same' if last.token == token else 'another'} term afterwards")
    if took < 7:  # the renew deadline, less one retry period and a busy machine
        assert (last.uid, last.token) == (first, token)
    assert not [pod for pod in workload.pods() if any(entry["restartCount"] for entry in pod["status"]["containerStatuses"])]
