"""One application with its sidecars in a namespace of its own, put together from k8s/ with kustomize, as a team would."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.app import SCRIPT
from tests.e2e.cluster import Cluster, runs, until
from tests.e2e.ledger import Ledger

JSON = dict[str, Any]
K8S = Path(__file__).resolve().parents[2] / "k8s"
NAME = "web"
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Workload:
    """Its namespace, under the *restricted* Pod Security level, and its ledger. `deploy` starts it, `end` removes it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = cluster.namespace(**{"pod-security.kubernetes.io/enforce": "restricted"})
        self.ledger = Ledger(cluster, self.namespace)
        self.kind = "Deployment"

    def deploy(  # noqa: PLR0913 - each is what some test is about
        self,
        kind: str = "Deployment",
        *,
        replicas: int = 3,
        components: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
        container: Mapping[str, Any] | None = None,
        script: str = SCRIPT,
        spec: Mapping[str, Any] | None = None,
        pod_spec: Mapping[str, Any] | None = None,
    ) -> list[JSON]:
        """Apply it and wait until every replica runs; gives the Pods.

        `components` of k8s/components beside the sidecar, and the guard where the cluster has it; `settings` are LEADER_ variables of
        the sidecar, `container` is merged over its container; `spec` and `pod_spec` go over the workload's.
        """
        self.apply(
            kind, replicas=replicas, components=components, settings=settings or {}, container=container or {}, script=script,
            spec=spec or {}, pod_spec=pod_spec or {},
        )  # fmt: skip
        return self.running(replicas)

    def deploy_bare(self, replicas: int, *, components: tuple[str, ...] = ()) -> list[JSON]:
        """As `deploy`, but Pods that nobody owns and that nothing restarts: what ends in them has ended for good."""
        self.apply("Deployment", replicas=0, components=components, settings={}, container={}, script=SCRIPT, spec={}, pod_spec={})
        template = self.cluster.get("deployment", NAME, "--namespace", self.namespace)["spec"]["template"]
        spec = template["spec"] | {"restartPolicy": "Never"}
        labels = template["metadata"]["labels"]
        pods = [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{NAME}-{n}", "labels": labels}, "spec": spec}
            for n in range(replicas)
        ]
        self.cluster.apply(*pods, namespace=self.namespace)
        return self.running(replicas)

    def apply(  # noqa: PLR0913 - likewise
        self,
        kind: str,
        *,
        replicas: int,
        components: tuple[str, ...],
        settings: Mapping[str, str],
        container: Mapping[str, Any],
        script: str,
        spec: Mapping[str, Any],
        pod_spec: Mapping[str, Any],
    ) -> None:
        """`kubectl apply -k` of a kustomization of k8s/base, the workload, and these components."""
        self.kind = kind
        folder = Path(tempfile.mkdtemp(prefix="leader-sidecar-e2e-"))
        try:
            (folder / "workload.yaml").write_text(yaml.safe_dump(self._workload(kind, replicas, script, spec, pod_spec)), encoding="utf-8")
            image, _, tag = self.cluster.image.rpartition(":")
            guard = ["admission-policy"] if self.cluster.guarded else []
            kustomization: JSON = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [os.path.relpath(K8S / "base", folder), "workload.yaml"],
                "components": [os.path.relpath(K8S / "components" / name, folder) for name in ("sidecar", *guard, *components)],
                "images": [{"name": "leader-sidecar", "newName": image, "newTag": tag}],
                "patches": [_patch(settings, container, "containers" if "regular-container" in components else "initContainers")],
            }
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
            self.cluster.apply_kustomization(folder, self.namespace)
        finally:
            shutil.rmtree(folder)

    def _workload(self, kind: str, replicas: int, script: str, spec: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> JSON:
        labels = {"app.kubernetes.io/name": NAME}
        named = {"POD_NAME": "metadata.name", "POD_UID": "metadata.uid"}
        container = {
            "name": "app",
            "image": self.cluster.app_image,
            "command": ["sh", "-c", script],
            "env": [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in named.items()],
            "ports": [] if pod_spec.get("hostNetwork") else [{"name": "http", "containerPort": 8080}],  # they would be the node's
            "volumeMounts": [{"name": "ledger", "mountPath": "/ledger"}],
            "securityContext": _RESTRICTED,
        }
        volumes = [{"name": "ledger", "persistentVolumeClaim": {"claimName": "ledger"}}]
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes, **pod_spec}}
        more: JSON = {"serviceName": NAME, "podManagementPolicy": "Parallel"} if kind == "StatefulSet" else {}
        whole = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **more, **spec}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": NAME}, "spec": whole}

    # ---- what there is ------------------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, limit_seconds: float = 120) -> str:
        """What kubectl prints, in this namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, limit_seconds=limit_seconds)

    def pods(self) -> list[JSON]:
        """Every Pod of the workload."""
        found: list[JSON] = self.cluster.get("pods", "--namespace", self.namespace, "-l", f"app.kubernetes.io/name={NAME}")["items"]
        return found

    def pod(self, uid: str) -> JSON:
        """The Pod of that uid. AssertionError where there is none any more."""
        found = [pod for pod in self.pods() if pod["metadata"]["uid"] == uid]
        assert found, f"no Pod with the uid {uid}"
        return found[0]

    def running(self, replicas: int, limit_seconds: float = 150) -> list[JSON]:
        """Wait until that many Pods run, each container of theirs, and no other is left; gives them."""

        def all_run() -> list[JSON] | None:
            pods = self.pods()
            return pods if len(pods) == replicas and all(runs(pod) for pod in pods) else None

        return until(f"{replicas} Pods run", all_run, limit_seconds, 0.5)

    def restart(self) -> None:
        """A rolling update, to its end."""
        self.kubectl("rollout", "restart", f"{self.kind}/{NAME}")
        self.kubectl("rollout", "status", f"{self.kind}/{NAME}", "--timeout=180s", limit_seconds=200)

    def scale(self, replicas: int) -> list[JSON]:
        """Change the number of replicas, and wait until so many run."""
        self.kubectl("scale", f"{self.kind}/{NAME}", f"--replicas={replicas}")
        return self.running(replicas)

    def leader(self, after: int | None = None) -> str:
        """Wait for one that acts from now on (or past so many lines of the ledger); gives its Pod's uid."""
        return self.ledger.next("acts", after=self.ledger.length() if after is None else after).uid

    def name_of(self, uid: str) -> str:
        """The name of the Pod of that uid."""
        return str(self.pod(uid)["metadata"]["name"])

    def ask(self, pod: str, path: str) -> str:
        """What the sidecar of the Pod of that name answers its application; empty where it does not."""
        command = ["exec", pod, "-c", "app", "--", "curl", "-s", "--max-time", "5", f"localhost:4040{path}"]
        return self.cluster.attempt("--namespace", self.namespace, *command).stdout

    def log(self, pod: str) -> str:
        """What the sidecar of the Pod of that name has said; empty where it has not begun."""
        return self.cluster.attempt("--namespace", self.namespace, "logs", pod, "-c", "leader").stdout

    def lease(self) -> JSON:
        """The Lease, as the API server has it."""
        return self.cluster.get("lease", NAME, "--namespace", self.namespace)

    def story(self) -> str:
        """What to look at when a test has failed."""
        said = [self.cluster.attempt("--namespace", self.namespace, "get", "pods,events,leases", "-o", "wide").stdout]
        logs = ["logs", "-l", f"app.kubernetes.io/name={NAME}", "--all-containers", "--prefix", "--tail=40"]
        said.append(self.cluster.attempt("--namespace", self.namespace, *logs).stdout)
        said.append("\n".join(self.ledger.text().splitlines()[-60:]))
        return "\n".join(said)

    def end(self) -> None:
        """Delete it with its namespace."""
        self.cluster.attempt("delete", "namespace", self.namespace, "--wait=false")
        self.ledger.end()


def _patch(settings: Mapping[str, str], container: Mapping[str, Any], where: str) -> JSON:
    """Of the sidecar's container, which stands in that list of the Pod."""
    leader = {"name": "leader", "env": [{"name": name, "value": value} for name, value in settings.items()], **container}
    patch = {"apiVersion": "apps/v1", "kind": "any", "metadata": {"name": "any"}, "spec": {"template": {"spec": {where: [leader]}}}}
    return {"target": {"kind": "Deployment|StatefulSet|DaemonSet"}, "patch": yaml.safe_dump(patch)}
