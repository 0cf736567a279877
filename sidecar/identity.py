"""One identity, one process (S9): who this candidate is, where it runs, and the socket that keeps a second one out."""

import errno
import hashlib
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidecar.lease import HolderPod

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NETWORK_NAMESPACE: Final = Path("/proc/self/ns/net")


class CannotGuard(Exception):  # noqa: N818 - said to the user
    """Whether another process contends under the same identity cannot be told here."""


class IdentityTaken(CannotGuard):
    """Another process of this network namespace contends under the same identity for the same Lease."""


def instance() -> str:
    """This process alone: 16 random hex digits."""
    return secrets.token_hex(8)


def place() -> str:
    """Kernel boot id and network namespace: where abstract sockets exclude each other. "" where the system has neither."""
    try:
        return f"{_BOOT_ID.read_text(encoding='ascii').strip()}/{_NETWORK_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""


def own_pod(environ: Mapping[str, str], namespace: str, own_namespace: str | None) -> HolderPod | None:
    """This process's Pod as the downward API tells it, if it is one of `namespace`, the Lease's; None where any of that is not known."""
    name, uid = environ.get("POD_NAME", ""), environ.get("POD_UID", "")
    return HolderPod(name, uid) if name and uid and own_namespace == namespace else None


def take(namespace: str, lease: str, identity: str) -> socket.socket | None:
    """Take the identity for as long as the socket that is returned lives; None where there are no abstract sockets (not Linux).

    The name lies in the abstract namespace (unix(7)): it belongs to one network namespace and goes with its process, kill -9 included.
    Raises IdentityTaken, or CannotGuard where the system does not let us ask.
    """
    if sys.platform != "linux":
        return None
    digest = hashlib.sha256(f"{namespace}/{lease}/{identity}".encode("utf-8", "surrogatepass")).hexdigest()
    guard = None
    try:
        guard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        guard.bind(f"\0leader-sidecar/{digest}")
    except OSError as error:
        if guard is not None:
            guard.close()
        if error.errno != errno.EADDRINUSE:
            message = f"cannot take the abstract unix socket that keeps a second process of the identity {identity} out: {error.strerror}"
            raise CannotGuard(f"{message}; the Pod's seccomp or AppArmor profile must allow it") from None
        message = f"another process here already contends for the Lease {namespace}/{lease} as {identity}"
        raise IdentityTaken(
            f"{message}: one identity belongs to one process; set another LEADER_IDENTITY, or run one sidecar in the Pod"
        ) from None
    return guard
