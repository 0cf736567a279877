"""What Debian brings to the node: installed where that can be done, named where it cannot."""

import os
import shutil
import sys

from tests.support.debian import install

NEEDED = {
    "containerd": "containerd", "ctr": "containerd", "runc": "runc", "/usr/lib/cni/bridge": "containernetworking-plugins",
    "buildah": "buildah", "debootstrap": "debootstrap", "curl": "curl", "ip": "iproute2", "nsenter": "util-linux",
    "unshare": "util-linux", "setpriv": "util-linux", "mount": "mount",
}  # fmt: skip
"""A program, and the package of Debian that has it."""


def _missing() -> list[str]:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return sorted({package for program, package in NEEDED.items() if shutil.which(program, path=path) is None})


def obstacle() -> str:
    """Why no node can be had here; empty where one can. Installs what is missing, as root on a Debian; one run at a time."""
    if sys.platform != "linux":
        return "a node needs Linux"
    if os.geteuid() != 0:
        return "a node needs root: namespaces, mounts, cgroups and a network of its own. Or give KUBECONFIG and IMAGE of a cluster"
    install(_missing)
    if missing := _missing():
        return f"not here, and not to be installed by apt-get: {', '.join(missing)}"
    return ""
