"""Certificates, and the files that the node's programs are configured by."""

import json
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml

from tests.support.authority import Authority

NODE = "n1"
TRUSTED = "trusted.crt"
"""The CA bundle that the API server is verified by, in the node's folder: in kubeconfigs, and as the cluster hands it to Pods."""
PAUSE_IMAGE = "leader-sidecar.test/pause:1"
NO_IPV6 = "net.ipv6.conf.all.disable_ipv6"
"""A setting of the kernel, for each Pod's network on its own, that a Pod here may ask for."""


@dataclass(frozen=True)
class Network:
    """The addresses of one node, of one family; 127.0.0.1 is there besides, as every Linux has it."""

    node: str
    api: str
    """The first address of `services`."""
    dns: str
    """Of `services` as well; nobody answers there."""
    services: str
    pods: str
    any: str
    """Every address, as a program that listens writes it."""

    @property
    def has_ipv6(self) -> bool:
        """Which family it is."""
        return ":" in self.node

    @property
    def api_url(self) -> str:
        """Where kubectl and the kubelet find the API server."""
        return f"https://[{self.api}]" if self.has_ipv6 else f"https://{self.api}"


IPV4 = Network("10.250.0.1", "10.96.0.1", "10.96.0.10", "10.96.0.0/16", "10.244.0.0/24", "0.0.0.0")  # noqa: S104 - in a network of its own
IPV6 = Network("fd10:250::1", "fd10:96::1", "fd10:96::a", "fd10:96::/112", "fd10:244::/64", "::")

_CONTAINERD = f"""
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "CNI"
"""


def write_certificates(folder: Path, network: Network) -> None:
    """The CA of the API server's clients, the key that service accounts' tokens are signed with, kubeconfigs for admin and node."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    write_token_key(folder / "sa.key")
    for name, user, group in (("admin", "admin", "system:masters"), ("kubelet", f"system:node:{NODE}", "system:nodes")):
        client = authority.issue_cert(f"{name}.test", common_name=user, organization_name=group)
        client.private_key_pem.write_to_path(folder / f"{name}.key")
        client.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
        (folder / f"{name}.key").chmod(0o600)
        _write_kubeconfig(folder, name, network)


def write_token_key(path: Path) -> None:
    """A key to sign service accounts' tokens with."""
    trustme.CA().issue_cert("service-accounts.test").private_key_pem.write_to_path(path)


def write_server_certificate(folder: Path, authority: Authority, network: Network) -> None:
    """The API server's certificate, of that CA."""
    names = (network.api, network.node, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc")
    authority.issue(*names, certificate=folder / "apiserver.crt", key=folder / "apiserver.key")


def _write_kubeconfig(folder: Path, name: str, network: Network) -> None:
    cluster = {"server": network.api_url, "certificate-authority": str(folder / TRUSTED)}
    user = {"client-certificate": str(folder / f"{name}.crt"), "client-key": str(folder / f"{name}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": name}}],
    }
    (folder / f"{name}.kubeconfig").write_text(yaml.safe_dump(config), encoding="utf-8")


def write_containerd(folder: Path, network: Network) -> Path:
    """The configuration of containerd, and the network of Pods: a bridge, with addresses from a range."""
    pods = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isDefaultGateway": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": network.pods}]]},
            }
        ],
    }
    (folder / "cni").mkdir()
    (folder / "cni" / "10-pods.conflist").write_text(json.dumps(pods), encoding="utf-8")
    path = folder / "containerd.toml"
    path.write_text(_CONTAINERD.replace("CNI", str(folder / "cni")), encoding="utf-8")
    return path


def write_kubelet(folder: Path, cgroup: str, network: Network) -> Path:
    """The kubelet's configuration: nothing in it changes what a Pod's end or restart looks like."""
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="utf-8")
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.any,
        "allowedUnsafeSysctls": [NO_IPV6],
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(folder / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "enforceNodeAllocatable": ["none"],
        "failSwapOn": False,
        "failCgroupV1": False,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1Mi", "imagefs.available": "1Mi"},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "clusterDNS": [network.dns],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "nodeStatusUpdateFrequency": "2s",
        "registerNode": True,
    }
    path = folder / "kubelet.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
