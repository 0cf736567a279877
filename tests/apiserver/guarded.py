"""A namespace under the guard, with Pods that no kubelet runs and tokens that are bound to them as a kubelet's are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.kustomized import K8S, MERGE, BoundPod, build, kustomization, only
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import Sidecar, ending, until

JSON = dict[str, Any]
GUARD = "leader-sidecar's guard"


@dataclass
class Guarded:
    """A namespace with the example application, the guard, and every right that a component gives."""

    server: ApiServer
    namespace: str
    template: JSON
    sidecars: list[Sidecar] = field(default_factory=list)

    def pod(self, name: str) -> BoundPod:
        """One more of its Pods."""
        return BoundPod.create(self.server, self.namespace, name, self.template)

    def sidecar(self, pod: BoundPod, folder: Path, times: Mapping[str, str]) -> Sidecar:
        """A real sidecar with that Pod's token."""
        kubeconfig = self.server.kubeconfig(pod.token, folder / f"{pod.name}.kubeconfig", namespace=self.namespace)
        settings = {"KUBECONFIG": str(kubeconfig), "LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": self.namespace}
        sidecar = Sidecar(pod.name, folder, {**settings, **times, "LEADER_NATIVE_SIDECAR": "true"}, uid=pod.uid)
        self.sidecars.append(sidecar)
        return sidecar


@pytest.fixture(scope="module")
def policy(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The guard, in force."""
    enforced(apiserver, tmp_path_factory.mktemp("policy"))
    yield
    apiserver.kubectl("delete", "-k", str(K8S / "guard"))


def enforced(server: ApiServer, folder: Path) -> None:
    """Apply the guard, and wait until each of its policies refuses what it is there to refuse.

    By dry runs: what were stored before would be no change afterwards, and no change is allowed.
    """
    server.kubectl("apply", "-k", str(K8S / "guard"))
    ground = made(server, folder)
    pod = ground.pod("probe")
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "any"}
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ground.namespace}/rolebindings/web-leader-sidecar?dryRun=All"
    until(lambda: pod.patch(pod.leases("web?dryRun=All"), {"spec": {"holderIdentity": "x"}})[0] == 403, within_seconds=30)
    until(lambda: pod.patch_pod("probe", {"metadata": {"labels": {"in-force": "no"}}}, "?dryRun=All")[0] == 403, within_seconds=30)
    until(lambda: server.request("PATCH", path, {"subjects": [group]}, MERGE)[0] == 403, within_seconds=30)


def made(server: ApiServer, folder: Path) -> Guarded:
    """The example with the guard and all rights, in a namespace of its own."""
    namespace = server.namespace()
    built = build(server, kustomization(folder / "app", ["example"], ["create", "pod-label", "pod-condition", "admission-policy"]))
    server.apply(*built, namespace=namespace)
    return Guarded(server, namespace, only(built, "Deployment")["spec"]["template"])


@pytest.fixture
def guarded(policy: None, apiserver: ApiServer, tmp_path: Path) -> Iterator[Guarded]:  # noqa: ARG001 - it is in force
    """A fresh one."""
    ground = made(apiserver, tmp_path)
    with ending(ground.sidecars):
        yield ground


def refused(outcome: tuple[int, str], *saying: str) -> bool:
    """By the guard and not by RBAC, for the reason that is named."""
    status, message = outcome
    assert status == 403, outcome
    assert GUARD in message, message
    return all(word in message for word in saying)
