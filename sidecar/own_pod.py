"""The Pod that this sidecar runs in, as the downward API tells it: what asks the API server for Pods needs to know its own."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OwnPod:
    """A Pod by name, for requests, and by uid, to be sure that it is this one."""

    namespace: str
    name: str
    uid: str


def own_pod(environ: Mapping[str, str], lease_namespace: str) -> OwnPod:
    """Of POD_NAME and POD_UID; in POD_NAMESPACE, else where its Lease is. `lacking` has found them good."""
    return OwnPod(environ.get("POD_NAMESPACE") or lease_namespace, environ["POD_NAME"], environ["POD_UID"])


def lacking(environ: Mapping[str, str], setting: str, store: str) -> list[str]:
    """Why `setting` cannot be had here, a line each."""
    faults = []
    if store.startswith("local:"):
        faults.append(f"{setting} asks the API server for Pods, and a local store has none: leave it out, or take the store kubernetes")
    missing = [name for name in ("POD_NAME", "POD_UID") if not environ.get(name)]
    if missing:
        faults.append(f"{setting} needs {' and '.join(missing)}: set by the downward API, fieldRef metadata.name and metadata.uid")
    return faults
