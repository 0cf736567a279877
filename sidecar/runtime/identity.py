"""One identity, one process (S9): this process's name, its place, and the socket that keeps a second process of its identity out."""

import errno
import hashlib
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NETWORK_NAMESPACE: Final = Path("/proc/self/ns/net")


class IdentityLockError(Exception):
    """The identity's socket cannot be had: whether another process contends under this identity cannot be told."""


class IdentityTakenError(IdentityLockError):
    """Another process of this network namespace contends under the same identity for the same Lease."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The Pod that this process runs in, by the downward API."""

    namespace: str
    name: str
    uid: str
    """Distinguishes it from an earlier Pod of the same name."""


def process() -> str:
    """A new name for this process: 16 random hex digits."""
    return secrets.token_hex(8)


def place() -> str:
    """Kernel boot id and network namespace: within one place abstract sockets exclude each other. "" where the system has neither."""
    try:
        return f"{_BOOT_ID.read_text(encoding='ascii').strip()}/{_NETWORK_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""


def take(namespace: str, lease: str, identity: str) -> socket.socket | None:
    """Take the identity for as long as the returned socket is open; None where there are no abstract sockets (not Linux).

    The socket's name is an abstract one (unix(7)): it belongs to one network namespace, and the kernel frees it when the process ends, kill
    -9 included. Raises IdentityTakenError, or IdentityLockError where the system allows no such socket.
    """
    if sys.platform != "linux":
        return None
    digest = hashlib.sha256(f"{namespace}/{lease}/{identity}".encode("utf-8", "surrogatepass")).hexdigest()
    lock = None
    try:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        lock.bind(f"\0leader-sidecar/{digest}")
    except OSError as error:
        if lock is not None:
            lock.close()
        if error.errno != errno.EADDRINUSE:
            message = f"cannot open the abstract unix socket that keeps a second process from using {identity}: {error.strerror}"
            raise IdentityLockError(f"{message}; the Pod's seccomp or AppArmor profile must allow it") from None
        message = f"another process here already contends for the Lease {namespace}/{lease} as {identity}"
        raise IdentityTakenError(
            f"{message}: one identity belongs to one process; set another LEADER_IDENTITY, or run one sidecar in the Pod"
        ) from None
    return lock
