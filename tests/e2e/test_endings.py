"""A leader's Pod that ends, gently and otherwise: never two that act, and somebody leads again."""

import os
import signal
from contextlib import suppress

import pytest

from tests.e2e.app import SCRIPT
from tests.e2e.cluster import container_id, until
from tests.e2e.node import Node
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)
STUBBORN = SCRIPT.replace("trap 'ended=1' TERM", "trap '' TERM")
"""Ignores SIGTERM: it acts until it is killed."""


def test_a_pod_that_is_deleted_hands_over_when_its_application_has_ended(workload: Workload) -> None:
    """SIGTERM: the application first, then the sidecar releases, then another's application is told, within 300 ms of the old one's end."""
    workload.deploy()
    took = []
    for _ in range(3):
        first = workload.leader()
        mark = workload.ledger.length()
        workload.kubectl("delete", "pod", workload.name_of(first), "--wait=false")
        ended = workload.ledger.next("ended", uid=first, after=mark)
        told = workload.ledger.next("told", after=mark)
        took.append(told.seconds - ended.seconds)
        assert told.uid != first
        assert not [line for line in workload.ledger.lines("acts", uid=first) if line.seconds > told.seconds]
        workload.running(3)
    print("the next application told", ", ".join(f"{seconds * 1000:.0f}" for seconds in took), "ms after the old one's end")
    assert min(took) >= 0
    assert min(took) <= 1, took  # 300 ms are promised on a machine that has nothing else to do, and printed; this is for any other
    assert max(took) < 10, "released, not waited for the Lease's end"


def test_an_application_that_ignores_sigterm_is_waited_for(workload: Workload) -> None:
    """It acts until the grace is used up and it is killed; the sidecar gets SIGTERM after that, and the 2 s left are enough to release."""
    workload.deploy(script=STUBBORN, replicas=2, pod_spec={"terminationGracePeriodSeconds": 4})
    first = workload.leader()
    mark = workload.ledger.length()
    workload.kubectl("delete", "pod", workload.name_of(first), "--wait=false")
    told = workload.ledger.next("told", after=mark)
    last = workload.ledger.lines("acts", uid=first)[-1]
    print(f"the next application told {told.seconds - last.seconds:.2f} s after the old one last acted")
    assert told.uid != first
    assert last.seconds <= told.seconds
    assert told.seconds - last.seconds < 10, "released, not waited for the Lease's end"


def test_a_pod_that_is_deleted_by_force_is_followed_by_another(workload: Workload) -> None:
    """Its object is gone at once, its processes a moment later: the next one leads, at the latest when the Lease has run out."""
    workload.deploy()
    first = workload.leader()
    mark = workload.ledger.length()
    workload.kubectl("delete", "pod", workload.name_of(first), "--force", "--wait=false")
    told = workload.ledger.next("told", after=mark)
    print(f"told {told.seconds - workload.ledger.lines('acts', uid=first)[-1].seconds:.2f} s after the old leader last acted")
    assert told.uid != first


def test_a_sidecar_that_is_killed_in_its_container_comes_back(workload: Workload, node: Node) -> None:
    """By SIGKILL: its application stops acting, the kubelet starts the container again, and somebody acts, under no smaller token."""
    workload.deploy()
    first = workload.leader()
    mark = workload.ledger.length()
    container = container_id(workload.pod(first), "leader")
    os.kill(node.container_pids(container)[0], signal.SIGKILL)
    until("the kubelet has started another container", lambda: container_id(workload.pod(first), "leader") != container)
    told = workload.ledger.next("told", after=mark)
    before = [line for line in workload.ledger.lines("acts") if line.seconds < told.seconds][-1]
    print(f"{'the same' if told.uid == first else 'another'} Pod acts {told.seconds - before.seconds:.2f} s after the last one acted")
    workload.running(3)
    assert len(workload.ledger.lines("begun")) == 3, "an application was restarted along with its sidecar"


def test_a_pod_whose_processes_are_all_killed_is_followed_by_another(workload: Workload, node: Node) -> None:
    """A crash of everything at once: whoever leads afterwards, it is one."""
    workload.deploy()
    first = workload.leader()
    pod = workload.pod(first)
    pids = [pid for container in ("app", "leader") for pid in node.container_pids(container_id(pod, container))]
    mark = workload.ledger.length()
    for pid in pids:
        with suppress(ProcessLookupError):  # the sidecar's watcher ends with the sidecar
            os.kill(pid, signal.SIGKILL)
    told = workload.ledger.next("told", after=mark)
    before = [line for line in workload.ledger.lines("acts") if line.seconds < told.seconds][-1]
    print(f"{'the same' if told.uid == first else 'another'} Pod acts {told.seconds - before.seconds:.2f} s after the last one acted")
    workload.running(3)
