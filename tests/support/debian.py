"""Debian's packages that tests need, installed where that can be done: as root on a Debian, one run at a time."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.kept import alone


def install(missing: Callable[[], list[str]]) -> None:
    """Install what `missing` still names once it is this run's turn; does nothing where no package can be installed."""
    if not missing() or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    with alone(Path(tempfile.gettempdir()) / "leader-sidecar-apt"):
        if packages := missing():
            _install(packages)


def _install(packages: list[str]) -> None:
    print(f"installing {', '.join(packages)} …", file=sys.stderr, flush=True)
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # No service that comes with a package is to run on this machine, containerd's above all.
    policy = Path("/usr/sbin/policy-rc.d")
    made = not policy.exists()
    if made:
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        policy.chmod(0o755)
    try:
        if subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update"], env=environment, capture_output=True, check=False)
            subprocess.run(command, env=environment, capture_output=True, check=False)
    finally:
        if made:
            policy.unlink()
