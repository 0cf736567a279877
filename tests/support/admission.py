"""What a mutating admission webhook may make of a Lease on its way into etcd."""

from collections.abc import Callable
from typing import Any

from sidecar.election.record import JSON, TERM_ANNOTATION

Admit = Callable[[JSON], JSON]


def sets(**spec: Any) -> Admit:
    """These fields of the spec, whatever was asked for; None removes one."""

    def admit(lease: JSON) -> JSON:
        for field, value in spec.items():
            if value is None:
                lease["spec"].pop(field, None)
            else:
                lease["spec"][field] = value
        return lease

    return admit


def rounds(digits: int) -> Admit:
    """The times, to so many digits of a second, in the API server's form."""

    def rounded(time: str) -> str:
        return f"{time[: len('2026-11-23T08:00:00.') + digits]}{'0' * (6 - digits)}Z"

    def admit(lease: JSON) -> JSON:
        spec = lease["spec"]
        for field in ("renewTime", "acquireTime"):
            if isinstance(spec.get(field), str):
                spec[field] = rounded(spec[field])
        return lease

    return admit


def removes_annotations(lease: JSON) -> JSON:
    """All of the sidecar's."""
    annotations = lease["metadata"].get("annotations", {})
    lease["metadata"]["annotations"] = {key: value for key, value in annotations.items() if not key.startswith("leader-sidecar/")}
    return lease


def retells_the_term(lease: JSON) -> JSON:
    """Another token in the annotation."""
    annotations = lease["metadata"]["annotations"]
    annotations[TERM_ANNOTATION] = annotations[TERM_ANNOTATION].replace('"token": ', '"token":').replace('"token":', '"token":1')
    return lease


def adds_a_field(lease: JSON) -> JSON:
    """A label, an annotation and a field of the spec that the sidecar does not know."""
    lease["metadata"] |= {"labels": {"team": "shop"}, "annotations": lease["metadata"].get("annotations", {}) | {"someone/else": "x"}}
    lease["spec"]["strategy"] = "OldestEmulationVersion"
    return lease
