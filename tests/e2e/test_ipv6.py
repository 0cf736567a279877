"""A cluster that has IPv6 alone: the node, its Pods, its services, and the API server's address in every Pod's environment."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster, container_id, until
from tests.e2e.configuration import IPV6
from tests.e2e.conftest import made
from tests.e2e.node import Node
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A node of its own, in place of the one that the other files share."""
    if os.environ.get("KUBECONFIG"):
        pytest.skip("this needs a node that has IPv6 alone: only with one that the tests make, with KUBECONFIG unset")
    with made(pytestconfig, IPV6) as mine:
        yield mine


def _hand_over(workload: Workload, leader: str) -> str:
    """Delete the leader's Pod; gives the uid of the next whose application has been told."""
    mark = workload.ledger.length()
    workload.kubectl("delete", "pod", workload.name_of(leader), "--wait=false")
    ended = workload.ledger.next("ended", uid=leader, after=mark)
    told = workload.ledger.next("told", after=mark)
    print(f"told {told.seconds - ended.seconds:.2f} s after the old one's end")
    assert told.uid != leader
    return told.uid


def _starting(workload: Workload, pod: str) -> str:
    """The log's last line that says where the sidecar listens."""
    return [line for line in workload.log(pod).splitlines() if '"listens"' in line or " listens=" in line][-1]


def test_the_api_server_at_an_ipv6_address_and_the_kubelets_probes_by_ipv6(workload: Workload) -> None:
    """A leader, its application told, the startup probe passed at the Pod's only address, and a handover."""
    pods = workload.deploy(replicas=2)
    first = workload.leader()
    assert all(address["ip"].startswith("fd10:244:") for pod in pods for address in pod["status"]["podIPs"])
    name = workload.name_of(first)
    addresses = workload.kubectl("exec", name, "-c", "app", "--", "sh", "-c", "echo $KUBERNETES_SERVICE_HOST; cat /proc/net/fib_trie")
    assert addresses.splitlines()[0] == IPV6.api
    assert "10.2" not in addresses, "no address of the other family but 127.0.0.1"
    said = workload.ask(name, "/readyz?verbose")
    print(_starting(workload, name))
    assert "[+]lease ok" in said
    assert "[-]" not in said
    assert all(entry["started"] for pod in workload.running(2) for entry in pod["status"]["initContainerStatuses"]), "the kubelet has asked"
    _hand_over(workload, first)


def test_with_no_127_0_0_1_it_serves_the_application_on_ipv6_alone(workload: Workload, node: Node) -> None:
    """Taken off the loopback interface of the Pods' own networks: each sidecar comes back, and one leads."""
    for pod in workload.deploy(replicas=2):
        (sidecar, *_) = node.container_pids(container_id(pod, "leader"))
        node.space.call_in(sidecar, "ip", "address", "del", "127.0.0.1/8", "dev", "lo")
        os.kill(sidecar, signal.SIGKILL)
    pods = workload.running(2)

    def restarted() -> bool:
        entries = [entry for pod in workload.running(2) for entry in pod["status"]["initContainerStatuses"]]
        return all(entry["restartCount"] == 1 and entry["started"] for entry in entries)

    until("both run anew, and the kubelet's probe has passed", restarted)
    for pod in pods:
        line = _starting(workload, pod["metadata"]["name"])
        print(line)
        assert "[::1]:4040" in line
        assert "127.0.0.1" not in line
        command = ["exec", pod["metadata"]["name"], "-c", "leader", "--", "leader-sidecar", "probe"]
        assert "ok" in workload.kubectl(*command), "an exec probe finds it as well"
    _hand_over(workload, workload.leader())
