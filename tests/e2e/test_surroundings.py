"""Where a platform runs its Pods: an uid of its choice, the node's own network, no IPv6, a proxy in the environment."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import container_id, until
from tests.e2e.configuration import NO_IPV6
from tests.e2e.node import Node
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)
ANY_UID = 1000680000
"""As OpenShift gives them: of a range for each namespace, with the group 0."""


@pytest.fixture
def another(workload: Workload) -> Iterator[Workload]:
    """A second application, in a namespace of its own."""
    mine = Workload(workload.cluster)
    try:
        yield mine
    finally:
        mine.end()


def test_an_uid_of_the_platforms_choice_on_a_root_that_cannot_be_written(workload: Workload, node: Node) -> None:
    """With no capability, no new privileges, the runtime's seccomp profile: as the kernel has it, of the leading sidecar's process."""
    workload.deploy(replicas=2, pod_spec={"securityContext": {"runAsUser": ANY_UID, "runAsGroup": 0}})
    pod = workload.pod(workload.leader())
    process = Path("/proc") / str(node.container_pids(container_id(pod, "leader"))[0])
    said = dict(re.findall(r"(\w+):\t(.*)", (process / "status").read_text(encoding="utf-8")))
    root = next(line.split() for line in (process / "mountinfo").read_text(encoding="utf-8").splitlines() if line.split()[4] == "/")
    print({name: said[name] for name in ("Uid", "Gid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}, "root:", root[5])
    assert set(said["Uid"].split()) == {str(ANY_UID)}
    assert set(said["Gid"].split()) == {"0"}
    assert int(said["CapEff"], 16) == int(said["CapBnd"], 16) == 0
    assert said["NoNewPrivs"] == "1"
    assert said["Seccomp"] == "2", "a filter"
    assert "ro" in root[5].split(",")


def test_a_proxy_in_the_environment_is_not_asked_for_the_api_server(workload: Workload) -> None:
    """One that nobody answers at: who obeyed it would see no Lease."""
    nobody = "http://127.0.0.1:9"
    workload.deploy(replicas=1, settings=dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"), nobody))
    uid = workload.leader()
    said = workload.ask(workload.name_of(uid), "/readyz?verbose")
    assert "[+]lease ok" in said
    assert "[-]" not in said


def test_where_ipv6_is_off_it_serves_on_127_0_0_1_alone_and_has_nothing_to_complain_of(workload: Workload, node: Node) -> None:
    """By the kernel's setting in the Pods' own networks: a leader, its application told, probes passed, a handover."""
    _allow_what_is_not_restricted(workload)  # a Pod with a kernel setting of its own
    workload.deploy(replicas=2, pod_spec={"securityContext": {"sysctls": [{"name": NO_IPV6, "value": "1"}]}})
    first = workload.leader()
    name = workload.name_of(first)
    process = Path("/proc") / str(node.container_pids(container_id(workload.pod(first), "leader"))[0])
    assert (process / "net" / "if_inet6").read_text(encoding="utf-8") == "", "not even the loopback interface has an address"
    log = workload.log(name)
    starting = next(line for line in log.splitlines() if "listens" in line)
    print(starting)
    assert "127.0.0.1:4040" in starting
    assert "[::1]" not in starting
    assert not re.search("warning|error", log, re.IGNORECASE)
    assert "[-]" not in workload.ask(name, "/readyz?verbose")
    assert all(entry["started"] for pod in workload.running(2) for entry in pod["status"]["initContainerStatuses"]), "the kubelet has asked"
    mark = workload.ledger.length()
    workload.kubectl("delete", "pod", name, "--wait=false")
    assert workload.ledger.next("told", after=mark).uid != first


def test_on_the_nodes_network_the_scheduler_keeps_a_second_pod_away(workload: Workload) -> None:
    """By the port that the manifest declares: the second Pod waits for another node, and says so."""
    _allow_what_is_not_restricted(workload)
    workload.deploy(replicas=1, pod_spec={"hostNetwork": True})
    first = workload.leader()
    workload.kubectl("scale", "deployment/web", "--replicas=2")

    def waits() -> str:
        others = [pod for pod in workload.pods() if pod["metadata"]["uid"] != first]
        conditions = [entry for pod in others for entry in pod["status"].get("conditions", ()) if entry.get("reason") == "Unschedulable"]
        return str(conditions[0]["message"]) if conditions else ""

    message = until("the second Pod waits", waits)
    print(message)
    assert "free ports" in message
    assert workload.leader() == first


def test_on_the_nodes_network_a_port_that_is_taken_is_named(workload: Workload, another: Workload) -> None:
    """Another application, with a probe port of its own and :4040 as well: exit code 2, a clear line, and its application never begins."""
    for each in (workload, another):
        _allow_what_is_not_restricted(each)
    workload.deploy(replicas=1, pod_spec={"hostNetwork": True})
    first = workload.leader()
    probe = {"httpGet": {"port": 5041}}
    ports = [{"$patch": "replace"}, {"name": "leader-probes", "containerPort": 5041}]
    another.apply(
        "Deployment", replicas=1, components=(), settings={"LEADER_PROBE_LISTEN": "*:5041"}, script="exec sleep 600", spec={},
        container={"ports": ports, "startupProbe": probe}, pod_spec={"hostNetwork": True},
    )  # fmt: skip

    def ended() -> tuple[str, int] | None:
        for pod in another.pods():
            for entry in pod["status"].get("initContainerStatuses", ()):
                for state in (entry["state"], entry["lastState"]):
                    if "terminated" in state:
                        return pod["metadata"]["name"], int(state["terminated"]["exitCode"])
        return None

    name, code = until("the second sidecar has ended", ended)
    said = until("it has said why", lambda: another.log(name))
    print(f"exit code {code}: {said}")
    assert code == 2
    assert "127.0.0.1:4040" in said
    assert "LEADER_LISTEN" in said
    assert not any(pod["status"]["containerStatuses"][0].get("started") for pod in another.pods()), "its application waits for its sidecar"
    assert workload.leader() == first


def _allow_what_is_not_restricted(workload: Workload) -> None:
    """No Pod Security level but *privileged* does."""
    label = "pod-security.kubernetes.io/enforce=privileged"
    workload.cluster.kubectl("label", "namespace", workload.namespace, label, "--overwrite")
