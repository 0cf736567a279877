"""Replicas that come and go."""

from itertools import pairwise

import pytest

from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(600)


def test_five_rolling_updates_in_a_row(workload: Workload) -> None:
    """Each replaces every Pod, the leader's too: one acts at a time throughout, and somebody does after each."""
    workload.deploy()
    gaps = []
    for _ in range(5):
        before = {pod["metadata"]["uid"] for pod in workload.pods()}
        mark = workload.ledger.length()
        workload.restart()
        workload.running(3)
        assert workload.leader() not in before
        acts = workload.ledger.lines("acts", after=mark)
        gaps += [after.seconds - last.seconds for last, after in pairwise(acts) if after.uid != last.uid]
    print(f"{len(gaps)} handovers, nobody acted for {max(gaps):.2f} s at the longest, {sorted(gaps)[len(gaps) // 2]:.2f} s at the median")
    assert len(gaps) >= 5
    assert max(gaps) < 15, "one was waited for until the Lease's end"


def test_scaled_from_3_to_1_to_5(workload: Workload) -> None:
    """Whoever is left leads, and newcomers follow."""
    workload.deploy()
    workload.leader()
    one = workload.scale(1)
    assert workload.leader() == one[0]["metadata"]["uid"]
    token = workload.ledger.lines("acts")[-1].token
    workload.scale(5)
    assert workload.leader() == one[0]["metadata"]["uid"]
    assert workload.ledger.lines("acts")[-1].token == token


def test_a_pod_of_a_stateful_set_is_back_under_its_name_as_another_candidate(workload: Workload) -> None:
    """The name is the same, the uid is not: it follows whoever leads by then, and its own old term is not taken up again."""
    workload.deploy("StatefulSet")
    first = workload.leader()
    name = workload.name_of(first)
    token = workload.ledger.lines("acts")[-1].token
    mark = workload.ledger.length()
    workload.kubectl("delete", "pod", name, "--wait=false")
    told = workload.ledger.next("told", after=mark)
    assert told.uid != first
    assert told.token > token
    pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in workload.running(3)}
    assert pods[name] != first
    assert workload.leader() == told.uid
