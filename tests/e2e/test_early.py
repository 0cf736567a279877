"""Early takeover on a real node: on the kubelet's word that all of the holder's processes have ended, and on nothing less."""

import os
import signal

import pytest

from tests.e2e.cluster import container_id
from tests.e2e.ledger import Line
from tests.e2e.node import Node
from tests.e2e.watching import Renewals, Watch, boottime
from tests.e2e.workload import NAME, Workload

pytestmark = pytest.mark.timeout(400)
LEASE_SECONDS = 15
"""The default, which these tests go by."""
EARLY = ("early-takeover",)
CLOCKS_SECONDS = 0.1
"""The ledger's steps of 10 ms, and the wall clock of the record against the clock since boot."""


def _kill(workload: Workload, node: Node, uid: str) -> None:
    """Every process of a Pod's containers, at once: with the first one the kernel ends the others."""
    pod = workload.pod(uid)
    firsts = [node.container_pids(container_id(pod, container))[0] for container in ("app", "leader")]
    for pid in firsts:
        os.kill(pid, signal.SIGKILL)


def _final(workload: Workload, uid: str) -> Watch:
    """A watch of a Pod's phase."""
    return Watch(workload.cluster, workload.namespace, f"pod {workload.name_of(uid)}", "phase={.status.phase}")


def _wait_final(watch: Watch) -> float:
    """Until the kubelet has reported that the Pod has ended; gives when, in seconds since boot."""
    return watch.first(lambda words: words[0] in ("phase=Failed", "phase=Succeeded")).seconds


def _is_early(workload: Workload, told: Line, reported: float, last: float) -> None:
    """Well before the Lease's end, and by proof."""
    print(
        f"told {told.seconds - reported:.2f} s after the kubelet's report, {told.seconds - last:.2f} s after the last renewal, "
        f"{last + LEASE_SECONDS - told.seconds:.1f} s before the Lease's end"
    )
    assert told.seconds < last + LEASE_SECONDS - 2
    assert "contending early" in workload.kubectl("logs", told.pod, "-c", "leader")


def _is_waited_for(workload: Workload, told: Line, last: float) -> None:
    """Not before the Lease's end, and on no proof."""
    print(f"told {told.seconds - last:.2f} s after the last renewal")
    assert told.seconds >= last + LEASE_SECONDS - CLOCKS_SECONDS
    assert "contending early" not in workload.kubectl("logs", told.pod, "-c", "leader")


def test_a_pod_whose_processes_have_all_ended_is_followed_as_soon_as_the_kubelet_says_so(workload: Workload, node: Node) -> None:
    """With restartPolicy Never, and both containers killed at once: the next one leads within 2 s of the report, not at the Lease's end."""
    workload.deploy_bare(3, components=EARLY)
    first = workload.leader()
    with Renewals(workload.cluster, workload.namespace, NAME) as renewals, _final(workload, first) as phases:
        mark = workload.ledger.length()
        killed = boottime()
        _kill(workload, node, first)
        reported = _wait_final(phases)
        told = workload.ledger.next("told", after=mark)
        last = renewals.last_of(first)
        assert not renewals.was_released()
    print(f"reported {reported - killed:.2f} s after the kill")
    assert told.uid != first
    _is_early(workload, told, reported, last)


def test_a_pod_that_is_deleted_with_a_sidecar_that_cannot_release_is_followed_at_its_end(workload: Workload, node: Node) -> None:
    """The sidecar stands still (SIGSTOP) until the grace is used up and it is killed; nothing is released."""
    workload.deploy(components=EARLY)
    first = workload.leader()
    with Renewals(workload.cluster, workload.namespace, NAME) as renewals, _final(workload, first) as phases:
        mark = workload.ledger.length()
        os.kill(node.container_pids(container_id(workload.pod(first), "leader"))[0], signal.SIGSTOP)
        workload.kubectl("delete", "pod", workload.name_of(first), "--grace-period=2", "--wait=false")
        reported = _wait_final(phases)
        told = workload.ledger.next("told", after=mark)
        last = renewals.last_of(first)
        assert not renewals.was_released()
    assert told.uid != first
    _is_early(workload, told, reported, last)


def test_a_pod_that_is_deleted_by_force_and_runs_on_is_waited_for(workload: Workload, node: Node) -> None:
    """Its object is gone, its containers are not, since the kubelet stands still: it acts until its deadline, and nothing proves an end."""
    workload.deploy(components=EARLY)
    first = workload.leader()
    with Renewals(workload.cluster, workload.namespace, NAME) as renewals, node.paused_kubelet():
        container = container_id(workload.pod(first), "app")
        mark = workload.ledger.length()
        workload.kubectl("delete", "pod", workload.name_of(first), "--force", "--wait=false")
        gone = boottime()
        told = workload.ledger.next("told", after=mark)
        last = renewals.last_of(first)
        acted = workload.ledger.lines("acts", uid=first)[-1].seconds
        assert node.container_pids(container), "its application was ended: the kubelet does not stand still"
    print(f"it acted for {acted - gone:.1f} s after its object was gone")
    assert told.uid != first
    _is_waited_for(workload, told, last)


def test_a_pod_that_has_ended_on_a_node_whose_kubelet_stands_still_is_waited_for(workload: Workload, node: Node) -> None:
    """Nobody says that its processes have ended, though they have."""
    workload.deploy_bare(3, components=EARLY)
    first = workload.leader()
    with Renewals(workload.cluster, workload.namespace, NAME) as renewals, node.paused_kubelet():
        mark = workload.ledger.length()
        _kill(workload, node, first)
        told = workload.ledger.next("told", after=mark)
        last = renewals.last_of(first)
    assert told.uid != first
    _is_waited_for(workload, told, last)
