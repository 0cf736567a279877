"""Two elections in one process, over a real API server."""

import asyncio
from pathlib import Path

from sidecar.clock import SystemClock
from sidecar.election.requests import Candidate
from sidecar.kubernetes import credentials
from sidecar.kubernetes.store import KubernetesStore
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from tests.apiserver.conftest import Field, shipped

LEASES = ("web", "batch")


async def test_two_runners_in_one_process_hold_two_leases(ground: Field, tmp_path: Path) -> None:
    """Each renews and releases its own."""
    user, token = ground.server.user()
    role = shipped("base/role.yaml")
    for name in LEASES:
        rules = [rule | {"resourceNames": [name]} for rule in role["rules"]]
        ground.server.bind(ground.namespace, user, role | {"metadata": {"name": f"{name}-leader"}, "rules": rules})
    batch = shipped("base/lease.yaml")
    ground.server.apply(batch | {"metadata": batch["metadata"] | {"name": "batch"}}, namespace=ground.namespace)
    kubeconfig = ground.server.kubeconfig(token, tmp_path / "kubeconfig", None, None, ground.namespace)
    clock, me = SystemClock(), Candidate("web-0_u1", "process", "place", 15, 10, 2, 10, native_sidecar=True)
    stores = [
        await KubernetesStore.connect(await credentials.load({"KUBECONFIG": str(kubeconfig)}), ground.namespace, name) for name in LEASES
    ]
    ones = [
        Runner(store, clock, Leadership(clock, Names(me.identity, name, ground.namespace, "boot")), me)
        for store, name in zip(stores, LEASES, strict=True)
    ]
    runs = [asyncio.create_task(one.run()) for one in ones]
    try:
        async with asyncio.timeout(30):
            for one in ones:
                while not one.leadership.read().is_leader:
                    await one.elector.changed()
        holders = [await asyncio.to_thread(_holder, ground, name) for name in LEASES]
        assert holders == [me.identity, me.identity]
        for one in ones:
            one.stop()
        await asyncio.gather(*runs)
        assert [await asyncio.to_thread(_holder, ground, name) for name in LEASES] == ["", ""]
    finally:
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        for store in stores:
            await store.close()


def _holder(ground: Field, name: str) -> str:
    found = ground.server.lease(ground.namespace, name)
    assert found is not None
    return str(found["spec"].get("holderIdentity", ""))
