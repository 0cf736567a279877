"""The node's own programs go away and come back."""

import time

import pytest

from tests.e2e.cluster import until
from tests.e2e.node import Node
from tests.e2e.workload import Workload

RENEW_DEADLINE, RETRY_PERIOD = 10, 2
"""The defaults, in seconds."""
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
    _nothing_was_restarted(workload)


def test_an_api_server_that_is_restarted_changes_nothing(workload: Workload, node: Node) -> None:
    """No Pod restarts or becomes unready, and where it was away for less than the deadline allows, no other term begins."""
    workload.deploy()
    first = workload.leader()
    token = workload.ledger.lines("acts")[-1].token
    began = time.monotonic()
    node.end_apiserver()
    node.start_apiserver()
    took = time.monotonic() - began
    workload.leader()
    last = workload.ledger.lines("acts")[-1]
    print(f"the API server was away for {took:.1f} s; {'the same' if last.token == token else 'another'} term afterwards")
    if took < RENEW_DEADLINE - RETRY_PERIOD - 1:
        assert (last.uid, last.token) == (first, token)
    node.wait_ready()
    _nothing_was_restarted(workload)


def test_while_the_api_server_is_away_the_application_stops_by_its_deadline(workload: Workload, node: Node) -> None:
    """And one leads when it is back, under a larger token."""
    workload.deploy()
    workload.leader()
    node.end_apiserver()
    away = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        until("the application has stopped acting", lambda: _silent_for(workload) > 3)
        last = workload.ledger.lines("acts")[-1]
        print(f"the application stopped {last.seconds - away:.2f} s after the API server did")
        assert last.seconds - away < RENEW_DEADLINE + 1, "it looks at the deadline before each act; a second for the act itself"
    finally:
        mark = workload.ledger.length()
        node.start_apiserver()
    told = workload.ledger.next("told", after=mark)
    assert told.token > last.token
    node.wait_ready()
    _nothing_was_restarted(workload)


def _silent_for(workload: Workload) -> float:
    """For how many seconds nobody has acted: the node's clock since boot is this machine's."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - workload.ledger.lines("acts")[-1].seconds


def _nothing_was_restarted(workload: Workload) -> None:
    pods = workload.running(3)
    statuses = [entry for pod in pods for kind in ("containerStatuses", "initContainerStatuses") for entry in pod["status"][kind]]
    assert not [entry for entry in statuses if entry["restartCount"]]
    assert len(workload.ledger.lines("begun")) == 3
