"""What Debian brings to the node: installed where that can be done, named where it cannot."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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
    if _missing() and shutil.which("apt-get") is not None:
        with (Path(tempfile.gettempdir()) / "leader-sidecar-apt").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _install(_missing())
    if missing := _missing():
        return f"not here, and not to be installed by apt-get: {', '.join(missing)}"
    return ""


def _install(packages: list[str]) -> None:
    if not packages:
        return
    print(f"installing {', '.join(packages)} …", file=sys.stderr, flush=True)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # No service that comes with a package is to run on this machine, containerd's above all.
    policy = Path("/usr/sbin/policy-rc.d")
    made = not policy.exists()
    if made:
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        policy.chmod(0o755)
    try:
        if subprocess.run(install, env=environment, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update"], env=environment, capture_output=True, check=False)
            subprocess.run(install, env=environment, capture_output=True, check=False)
    finally:
        if made:
            policy.unlink()
