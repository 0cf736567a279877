"""What stops or ends a native sidecar alone, while its application goes by the deadline that it was given: the ledger has no two.

One workload for all of them; each test acts on whoever leads. Its application keeps a stream open, and acts until the last deadline that
came over it, whatever it hears then: that is what it was promised.
"""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, container_id, until
from tests.e2e.images import SIDECAR_IMAGE
from tests.e2e.node import Node
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)
JSON = dict[str, Any]
RENEW_DEADLINE_SECONDS = 4.0
SETTINGS = {"LEADER_LEASE_DURATION": "6s", "LEADER_RENEW_DEADLINE": "4s", "LEADER_RETRY_PERIOD": "1s", "PYTHONPATH": "/ledger"}
HANGS = "import signal, time\nsignal.signal(signal.SIGUSR1, lambda *_: time.sleep(1000))\n"
"""Put into every Python of the sidecar's container: its loop hangs from SIGUSR1 on."""
FAILS = "import os, sys; sys.exit(os.path.exists('/ledger/fails'))"
AGAIN = f"{SIDECAR_IMAGE}-again"
"""The same image, by another name."""
CONTAINER: JSON = {
    "volumeMounts": [{"name": "ledger", "mountPath": "/ledger", "readOnly": True}],
    "startupProbe": {
        "httpGet": None, "exec": {"command": ["/opt/leader-sidecar/bin/python", "-c", FAILS]},
        "periodSeconds": 1, "failureThreshold": 4, "timeoutSeconds": 10,
    },
    "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
}  # fmt: skip
BY_THE_DEADLINE = r"""
say() { read -r up rest < /proc/uptime; echo "${up%.*}${up#*.} $POD_NAME $POD_UID $*" >> /ledger/log; }
listen() {
    while :; do
        curl -sN "localhost:4040/leader/events?renewals=1" | while read -r line; do
            case $line in
                *'"is_leader": true'*)
                    token=${line#*\"fencing_token\": }; token=${token%%[,\}]*}
                    deadline=${line#*\"valid_until_boottime_ns\": }; deadline=${deadline%%[,\}]*}
                    echo "$token $deadline" > "/ledger/given-$POD_UID";;
            esac
        done
        sleep 0.05
    done
}
listen &
trap 'ended=1' TERM
say begun
told= ended=
while [ -z "$ended" ]; do
    token= deadline=0
    [ ! -r "/ledger/given-$POD_UID" ] || read -r token deadline < "/ledger/given-$POD_UID"
    read -r up rest < /proc/uptime
    if [ -n "$token" ] && [ "${up%.*}${up#*.}" -lt $((deadline / 10000000)) ]; then
        [ "$told" = "$token" ] || say told "$token"
        told=$token
        say acts "$token"
    fi
    sleep 0.05
done
say ended
"""


@pytest.fixture(scope="module")
def alone(cluster: Cluster) -> Iterator[Workload]:
    """Two Pods, for all tests here."""
    if cluster.node is None:
        pytest.skip("these tests kill processes of containers: only on the node that the tests make, with KUBECONFIG unset")
    cluster.node.tag_image(SIDECAR_IMAGE, AGAIN)
    mine = Workload(cluster)
    try:
        (folder(mine) / "sitecustomize.py").write_text(HANGS)
        mine.deploy(replicas=2, settings=SETTINGS, container=CONTAINER, script=BY_THE_DEADLINE)
        yield mine
    finally:
        mine.end()


@pytest.fixture
def workload(alone: Workload) -> Iterator[Workload]:
    """Both Pods run, before and after; the ledger is looked at after each test."""
    alone.running(2)
    yield alone
    alone.ledger.check()


@pytest.fixture
def node(cluster: Cluster) -> Node:
    """The node."""
    return cluster.the_node()


def folder(of: Workload) -> Path:
    """The ledger's, on the node's disk."""
    assert of.ledger._file is not None
    return of.ledger._file.parent


def followed(workload: Workload, first: str, mark: int) -> float:
    """Wait until the other Pod's application acts; how long after the first one last did. Never before."""
    told = next(line for line in until("another acts", lambda: workload.ledger.lines("told", after=mark)) if line.uid != first)
    until("it goes on", lambda: len(workload.ledger.lines("acts", uid=told.uid, after=mark)) > 20)
    last = workload.ledger.lines("acts", uid=first)[-1]
    assert last.seconds <= told.seconds, f"{last} and {told}: two that act"
    return told.seconds - last.seconds


def restarted(workload: Workload, uid: str, former: str) -> JSON:
    """Wait for another container of the sidecar than that one; how the former ended, as its Pod says."""

    def other() -> JSON | None:
        pod = workload.pod(uid)
        (status,) = [entry for entry in pod["status"]["initContainerStatuses"] if entry["name"] == "leader"]
        ended = status["lastState"].get("terminated", {})
        return dict(ended) if former in str(ended.get("containerID")) else None

    return until("the kubelet has started another container", other)


def test_a_sidecar_whose_loop_hangs_ends_and_is_started_again(workload: Workload, node: Node) -> None:
    """As PID 1 of its container, with no probe that asks it: exit code 1, nothing released, and the log says where it hung."""
    first, mark = workload.leader(), workload.ledger.length()
    container = container_id(workload.pod(first), "leader")
    last = until("its application acts", lambda: workload.ledger.lines("acts", uid=first, after=mark))[-1]
    os.kill(node.container_pids(container)[0], signal.SIGUSR1)
    ended = restarted(workload, first, container)
    said = workload.kubectl("logs", workload.name_of(first), "-c", "leader", "--previous")
    until("somebody acts again", lambda: [line for line in workload.ledger.lines("acts", after=mark) if line.seconds > last.seconds + 6])
    print(f"exit code {ended['exitCode']}; {'the same' if workload.leader() == first else 'another'} Pod leads afterwards")
    assert ended["exitCode"] == 1, said
    assert "the loop hangs" in said
    assert "sitecustomize.py" in said
    assert '"released"' not in said


@pytest.mark.parametrize("how", ["image", "resize"])
def test_an_update_in_place_stops_the_sidecar_alone_and_a_given_deadline_is_kept(workload: Workload, how: str) -> None:
    """Another image, or other resources with RestartContainer. Its application keeps a connection, which shows that it lives."""
    first, mark = workload.leader(), workload.ledger.length()
    container, name = container_id(workload.pod(first), "leader"), workload.name_of(first)
    change = {"image": AGAIN} if how == "image" else {"resources": {"requests": {"cpu": "20m"}}}
    patch = json.dumps({"spec": {"initContainers": [{"name": "leader", **change}]}})
    workload.kubectl("patch", "pod", name, *(("--subresource=resize",) if how == "resize" else ()), "--type=strategic", f"--patch={patch}")
    after_seconds = followed(workload, first, mark)
    ended = restarted(workload, first, container)
    print(f"{how}: the next one acts {after_seconds:.2f} s after the last; exit code {ended['exitCode']}")
    assert ended["exitCode"] == 0
    assert after_seconds < RENEW_DEADLINE_SECONDS, "released, not waited for the Lease's end"
    assert len(workload.ledger.lines("begun")) == 2, "an application was restarted along with its sidecar"


def test_a_startup_probe_that_fails_after_a_restart_stops_the_sidecar_alone(workload: Workload, node: Node) -> None:
    """It was killed and leads on; then its kubelet stops it, and its application may act by what either process has given."""
    first, mark = workload.leader(), workload.ledger.length()
    container = container_id(workload.pod(first), "leader")
    fails = folder(workload) / "fails"
    fails.touch()
    try:
        os.kill(node.container_pids(container)[0], signal.SIGKILL)
        restarted(workload, first, container)
        again = until("it runs again", lambda: container_id(workload.pod(first), "leader"))
        after_seconds = followed(workload, first, mark)
    finally:
        fails.unlink()
    ended = restarted(workload, first, again)
    print(f"the next one acts {after_seconds:.2f} s after the last; exit codes: killed, then {ended['exitCode']}")
    assert ended["exitCode"] == 0


def test_no_container_of_this_version_can_have_its_pod_restarted_whole(cluster: Cluster) -> None:
    """RestartAllContainers (alpha in 1.35) would stop a sidecar with its application. This version drops or refuses such a rule; one that
    takes it is to be tested here.
    """
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}
    container = {"name": "app", "image": cluster.app_image, "restartPolicy": "Never", "restartPolicyRules": [rule]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [container], "restartPolicy": "Never"}}
    taken = cluster.attempt("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod))
    assert "RestartAllContainers" not in taken.stdout, "this cluster knows it: test it"
