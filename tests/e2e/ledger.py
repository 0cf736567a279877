"""The file that every replica of a test's application appends to: a volume that all share, kept outside the Pods."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.cluster import Cluster, until

JSON = dict[str, Any]
_ON_A_GIVEN_NODE = "/var/tmp/leader-sidecar-e2e"  # noqa: S108 - on that node, in a folder that a Pod makes


@dataclass(frozen=True)
class Line:
    """One line of the file. `seconds` is since the node's boot, in steps of 10 ms."""

    seconds: float
    pod: str
    uid: str
    what: str
    token: int


class Ledger:
    """The file, in the order in which the node's kernel took the lines, and the volume for the Pods of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self.namespace = cluster, namespace
        if cluster.node is not None:
            folder = cluster.node.folder / "ledgers" / namespace
            folder.mkdir(parents=True)
            folder.chmod(0o777)
            self._volume(str(folder))
            self._file: Path | None = folder / "log"
        else:
            self._file = None
            self._keep(f"{_ON_A_GIVEN_NODE}/{namespace}")

    def _volume(self, path: str, host: str = "") -> None:
        """A volume of the node's disk, and the claim that Pods name: a hostPath in the Pod itself is no *restricted* one."""
        common: JSON = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        spec = common | {"capacity": {"storage": "1Gi"}, "hostPath": {"path": path}, "persistentVolumeReclaimPolicy": "Retain"}
        if host:
            term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
        claim = common | {"volumeName": self.namespace, "resources": {"requests": {"storage": "1Gi"}}}
        self._cluster.apply(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": self.namespace}, "spec": spec},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "ledger"}, "spec": claim},
            namespace=self.namespace,
        )

    def _keep(self, path: str) -> None:
        """On a cluster that was given: a Pod that makes the folder on one node, and through which it is read. The others follow it."""
        container = {
            "name": "keeper",
            "image": self._cluster.app_image,
            "command": ["sh", "-c", "mkdir -p $0 && chmod 777 $0 && while :; do sleep 1; done", path],
            "securityContext": {"runAsUser": 0},
            "volumeMounts": [{"name": "node", "mountPath": _ON_A_GIVEN_NODE}],
        }
        folder = {"path": _ON_A_GIVEN_NODE, "type": "DirectoryOrCreate"}
        spec = {
            "containers": [container],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "node", "hostPath": folder}],
        }
        self._cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self._keeper}, "spec": spec})
        self._cluster.kubectl("wait", "pod", self._keeper, "--for=condition=Ready", "--timeout=110s")
        node = self._cluster.get("node", self._cluster.get("pod", self._keeper)["spec"]["nodeName"])
        self._volume(path, node["metadata"]["labels"]["kubernetes.io/hostname"])

    @property
    def _keeper(self) -> str:
        return f"ledger-of-{self.namespace}"

    def text(self) -> str:
        """The file as it is."""
        if self._file is not None:
            return self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        return self._cluster.attempt("exec", self._keeper, "--", "cat", f"{_ON_A_GIVEN_NODE}/{self.namespace}/log").stdout

    def lines(self, *what: str, uid: str = "", after: int = 0) -> list[Line]:
        """The lines, past the first `after` ones: of these kinds and of that Pod alone, where any is named."""
        text, found = self.text(), []
        for line in text[: text.rfind("\n") + 1].splitlines()[after:]:
            hundredths, pod, whose, kind, *token = line.split()
            found.append(Line(int(hundredths) / 100, pod, whose, kind, int(token[0]) if token else 0))
        return [line for line in found if (not what or line.what in what) and (not uid or line.uid == uid)]

    def length(self) -> int:
        """How many lines there are: `after` for what comes then."""
        return len(self.lines())

    def next(self, *what: str, after: int, uid: str = "", limit_seconds: float = 90) -> Line:
        """Wait for the first such line past that many."""
        found = until(f"a line that says {what} {uid}", lambda: self.lines(*what, uid=uid, after=after), limit_seconds, 0.05)
        return found[0]

    def check(self) -> None:
        """What may never be otherwise: tokens never fall, and each belongs to one Pod. Two that act by turns break one or the other."""
        acts = self.lines("acts")
        for before, after in pairwise(acts):
            assert after.token >= before.token, f"the token fell: {before}, then {after}"
        owners: dict[int, str] = {}
        for line in acts:
            assert owners.setdefault(line.token, line.uid) == line.uid, f"two Pods acted under one token: {line} and {owners[line.token]}"

    def end(self) -> None:
        """Remove the volume, and the Pod that kept it."""
        if self._file is None:
            self._cluster.attempt("exec", self._keeper, "--", "rm", "-rf", f"{_ON_A_GIVEN_NODE}/{self.namespace}")
            self._cluster.attempt("delete", "pod", self._keeper, "--wait=false")
        self._cluster.attempt("delete", "persistentvolume", self.namespace, "--wait=false")
