"""A whole Kubernetes node on this machine: every program that a cluster has, in namespaces of its own (space.py)."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.binaries.build import NODE as NODE_PROGRAMS
from tests.binaries.build import ensure
from tests.e2e import configuration
from tests.e2e.images import pause_image
from tests.e2e.space import Space, innermost_pid, sweep
from tests.support.authority import Authority

_ETCD = "http://127.0.0.1:2379"


class Node:
    """etcd, the API server, its controllers and scheduler, containerd and the kubelet. `start` once, `stop` always."""

    def __init__(self, network: configuration.Network = configuration.IPV4) -> None:
        sweep()
        self.network = network
        self._programs = {name: str(path) for name, path in ensure("etcd", "kube-apiserver", "kubectl", *NODE_PROGRAMS).items()}
        self.space = Space(Path(self._programs["pause"]))
        self.folder = self.space.folder
        self.authority = Authority()
        """The CA of the API server's certificate."""
        self._trusted = self.folder / configuration.TRUSTED
        self._token_keys: tuple[str, ...] = ("sa.key",)

    def start(self) -> "Node":
        """All of it, until the node is ready for Pods. Raises RuntimeError with the logs' ends where it does not get there."""
        self.space.open()
        self._start_network()
        configuration.write_certificates(self.folder, self.network)
        configuration.write_server_certificate(self.folder, self.authority, self.network)
        self._trusted.write_text(self.authority.pem, encoding="utf-8")
        self.space.start("etcd", self._programs["etcd"], "--data-dir=/var/lib/etcd", "--unsafe-no-fsync")
        self.start_containerd()
        self.start_apiserver()
        for name in ("kube-controller-manager", "kube-scheduler"):
            self._start_controller(name)
        self.import_image(pause_image(Path(self._programs["pause"])))
        configuration.write_kubelet(self.folder, self.space.name, self.network)
        self.start_kubelet()
        self.wait_ready()
        return self

    def _start_network(self) -> None:
        six = self.network.has_ipv6
        network_bits, host_bits, no_wait = ("64", "128", " nodad") if six else ("24", "32", "")
        for command in (
            "link set lo up",
            "link add node0 type veth peer name node1",
            f"address add {self.network.node}/{network_bits} dev node0{no_wait}",
            f"address add {self.network.api}/{host_bits} dev node0{no_wait}",
            "link set node0 up",
            "link set node1 up",
            f"{'-6 ' if six else ''}route add default dev node0",
        ):
            self.space.call("ip", *command.split())
        self.space.call("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1" if six else "net.ipv4.ip_forward=1")

    def start_apiserver(self) -> None:
        """Start kube-apiserver and wait until it is ready."""
        self.space.start(
            "kube-apiserver", self._programs["kube-apiserver"], f"--etcd-servers={_ETCD}", f"--cert-dir={self.folder}",
            "--secure-port=443", f"--bind-address={self.network.any}", f"--advertise-address={self.network.node}",
            f"--service-cluster-ip-range={self.network.services}", f"--tls-cert-file={self.folder}/apiserver.crt",
            f"--tls-private-key-file={self.folder}/apiserver.key", f"--client-ca-file={self.folder}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
            f"--service-account-signing-key-file={self.folder}/{self._token_keys[0]}",
            *(f"--service-account-key-file={self.folder}/{name}" for name in self._token_keys),
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged", "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={self.folder}/admin.crt", f"--kubelet-client-key={self.folder}/admin.key", "--profiling=false",
        )  # fmt: skip
        self._until("kube-apiserver", lambda: self.kubectl("get", "--raw", "/readyz").returncode == 0)

    def _start_controller(self, name: str) -> None:
        mine = [f"--root-ca-file={self._trusted}", f"--service-account-private-key-file={self.folder}/sa.key"]
        self.space.start(
            name, self._programs[name], f"--kubeconfig={self.folder}/admin.kubeconfig", "--leader-elect=false", "--bind-address=127.0.0.1",
            "--profiling=false", *(mine if name == "kube-controller-manager" else []),
        )  # fmt: skip

    def start_containerd(self) -> None:
        """Start containerd and wait until it answers."""
        self.space.start("containerd", "containerd", "--config", str(configuration.write_containerd(self.folder, self.network)))
        self._until("containerd", lambda: self._ctr("version").returncode == 0)

    def start_kubelet(self) -> None:
        """Start the kubelet; `wait_ready` waits until the API server knows."""
        self.space.start(
            "kubelet", self._programs["kubelet"], f"--config={self.folder}/kubelet.yaml", f"--kubeconfig={self.folder}/kubelet.kubeconfig",
            f"--hostname-override={configuration.NODE}", f"--node-ip={self.network.node}",
        )  # fmt: skip

    def wait_ready(self) -> None:
        """Until the node takes Pods."""
        taints = ["get", "node", configuration.NODE, "-o", "json"]

        def ready() -> bool:
            done = self.kubectl(*taints)
            if done.returncode != 0:
                return False
            node = json.loads(done.stdout)
            conditions = {entry["type"]: entry["status"] for entry in node["status"].get("conditions", ())}
            return conditions.get("Ready") == "True" and not node["spec"].get("taints")

        self._until("kubelet", ready, limit_seconds=120)

    def _until(self, name: str, holds: Callable[[], bool], limit_seconds: float = 90) -> None:
        end = time.monotonic() + limit_seconds
        while not holds():
            if not self.space.running(name) or time.monotonic() > end:
                raise RuntimeError(f"{name} did not get ready:\n{self.space.said(name)}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End and remove all of it."""
        self.space.close()

    # ---- what tests do to it ------------------------------------------------------------------------------------------------------

    def kubectl_command(self) -> list[str]:
        """A command line's begin: kubectl as the administrator."""
        return [*self.space.enter_network(), self._programs["kubectl"], f"--kubeconfig={self.folder}/admin.kubeconfig"]

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl once."""
        command = [*self.kubectl_command(), "--request-timeout=10s", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.space.enter(), "ctr", "--namespace=k8s.io", *arguments], capture_output=True, text=True, timeout=300, check=False
        )

    def import_image(self, tar: Path) -> None:
        """Make the images in a docker-archive or OCI tar known to the node. Raises RuntimeError where it is none."""
        done = self._ctr("images", "import", str(tar))
        if done.returncode != 0:
            raise RuntimeError(f"{tar} cannot be imported: {done.stderr}")

    def tag_image(self, name: str, other: str) -> None:
        """Give an image that it has another name as well."""
        done = self._ctr("images", "tag", "--force", name, other)
        assert done.returncode == 0, done.stderr

    def container_pids(self, container_id: str) -> list[int]:
        """The processes of a container, as this machine counts them, its first one first. Empty where none runs."""
        pids = self.space.pids_below(container_id)
        return sorted(pids, key=lambda pid: (innermost_pid(pid) != 1, pid))

    def resident_bytes(self, pids: list[int]) -> int:
        """How much memory of their own and shared these processes have in use."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) for pid in pids)
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end_apiserver(self) -> None:
        """End the API server: SIGTERM, and no long wait for the watches it serves. Connections are refused until `start_apiserver`."""
        self.space.end("kube-apiserver", limit_seconds=2)

    def restart_apiserver(self, *, authority: Authority | None = None, token_keys: tuple[str, ...] = ()) -> float:
        """End the API server and start it; gives for how many seconds none was ready.

        From then on it has a certificate of that CA, and signs tokens with the first of these keys, files in the node's folder, and accepts
        those of the others: what is left out stays as it is.
        """
        if authority is not None:
            self.authority = authority
            configuration.write_server_certificate(self.folder, authority, self.network)
        for name in token_keys:
            if not (self.folder / name).exists():
                configuration.write_token_key(self.folder / name)
        self._token_keys = token_keys or self._token_keys
        began = time.monotonic()
        self.end_apiserver()
        self.start_apiserver()
        return time.monotonic() - began

    def trust(self, pem: str) -> None:
        """Publish another CA bundle: everything of the node goes by it, and the cluster puts it into every namespace."""
        self._trusted.write_text(pem, encoding="utf-8")
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.space.end(name, limit_seconds=5)
            self._start_controller(name)
        self.restart_kubelet()

    def restart_kubelet(self) -> None:
        """It begins with no token in its memory, and sees to every Pod's volumes at once."""
        self.end_kubelet()
        self.start_kubelet()

    def mounted(self, pod_uid: str, volume: str, file: str) -> str:
        """What stands in a projected volume of a Pod now, as its containers read it."""
        return self.space.call("cat", f"/var/lib/kubelet/pods/{pod_uid}/volumes/kubernetes.io~projected/{volume}/{file}")

    def end_kubelet(self) -> None:
        """End the kubelet: containers run on."""
        self.space.end("kubelet")

    @contextmanager
    def paused_kubelet(self) -> Iterator[None]:
        """The kubelet stands still: containers run on, and it reports nothing."""
        self.space.pause("kubelet")
        try:
            yield
        finally:
            self.space.resume("kubelet")
