"""What the sidecar takes of a node, as the kubelet reports it."""

import json
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.cluster import until
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)
SECONDS = 30
"""How much of an idle time is looked at, at least: the kubelet looks every 10 to 20 s."""
SILENT = "trap 'exit 0' TERM; sleep 3600 & wait"
"""An application that asks nothing."""


def _reported(workload: Workload) -> dict[str, Any]:
    """The kubelet's summary of each sidecar of the workload, by the Pod's uid: those that have all figures."""
    node = workload.pods()[0]["spec"]["nodeName"]
    summary = json.loads(workload.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    found = {
        pod["podRef"]["uid"]: container
        for pod in summary["pods"]
        if pod["podRef"]["namespace"] == workload.namespace
        for container in pod.get("containers", ())
        if container["name"] == "leader"
    }
    return {uid: entry for uid, entry in found.items() if "workingSetBytes" in entry["memory"] and "usageCoreNanoSeconds" in entry["cpu"]}


def test_what_a_sidecar_takes_while_nothing_happens(workload: Workload) -> None:
    """Leading, and following: within what the manifest asks for, memory and CPU."""
    pods = workload.deploy(replicas=2, script=SILENT)
    first = until("one leads", lambda: _holder(workload))
    resources = pods[0]["spec"]["initContainers"][0]["resources"]
    before = until("the kubelet reports both", lambda: reported if len(reported := _reported(workload)) == 2 else None, every_seconds=1)

    def later() -> dict[str, Any] | None:
        after = _reported(workload)
        return after if len(after) == 2 and all(_apart(before[uid], after[uid]) >= SECONDS for uid in before) else None

    after = until("it has looked again", later, limit_seconds=200, every_seconds=2)
    assert _holder(workload) == first
    for uid, entry in after.items():
        used = (entry["cpu"]["usageCoreNanoSeconds"] - before[uid]["cpu"]["usageCoreNanoSeconds"]) / 1e9
        share, seconds = used / _apart(before[uid], entry), _apart(before[uid], entry)
        memory = entry["memory"]
        print(
            f"{'leading' if uid == first else 'following'}: {memory['workingSetBytes'] / 1e6:.1f} MB working set, "
            f"{memory['rssBytes'] / 1e6:.1f} MB resident and its own, {share * 1000:.1f} thousandths of a core over {seconds:.0f} s"
        )
        assert resources["requests"] == {"cpu": "10m", "memory": "64Mi"}
        assert memory["workingSetBytes"] < 64 * 2**20
        assert share < 0.010


def _holder(workload: Workload) -> str:
    """The uid of the Pod that leads, by the Lease; empty while none does."""
    return str(workload.lease().get("spec", {}).get("holderIdentity", "")).rpartition("_")[2]


def _apart(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Seconds between two reports of CPU time."""
    first, last = (datetime.fromisoformat(entry["cpu"]["time"]) for entry in (before, after))
    return (last - first).total_seconds()
