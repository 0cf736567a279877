"""How an API server treats a write to a Lease: it merges a patch, and refuses what is not valid. Measured on kube-apiserver v1.34.

For stores without an API server.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from sidecar.election.record import parse_time
from sidecar.escaping import cut

MAX_ANNOTATION_BYTES: Final = 256 * 1024
"""All keys and values of a Lease's annotations together (Kubernetes API, "Annotations")."""
_INT32_MAX: Final = 2**31 - 1
_MICRO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)", re.ASCII)


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386) applied to `target`, into a new value."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def complaint(lease: object, namespace: str, name: str) -> str:
    """Why an API server would refuse this Lease, or ""."""
    if not isinstance(lease, dict):
        return "a Lease must be an object"
    metadata, spec = lease.get("metadata", {}), lease.get("spec", {})
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        return "metadata and spec must be objects"
    return _about_metadata(metadata, {"namespace": namespace, "name": name}) or _about_spec(spec)


def _about_metadata(metadata: Mapping[str, Any], own: Mapping[str, str]) -> str:
    for field, value in own.items():
        if metadata.get(field, value) != value:
            return f"metadata.{field} is {_shown(metadata[field])}: it is {value!r} and cannot be changed"
    for field in ("annotations", "labels"):
        texts = metadata.get(field, {})
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            return f"metadata.{field} must be an object whose values are strings"
    size = sum(len(text.encode(errors="replace")) for pair in metadata.get("annotations", {}).items() for text in pair)
    if size > MAX_ANNOTATION_BYTES:
        return f"metadata.annotations hold {size} bytes: at most {MAX_ANNOTATION_BYTES} are allowed"
    return ""


def _about_spec(spec: Mapping[str, Any]) -> str:
    holder = spec.get("holderIdentity")
    if holder is not None and not isinstance(holder, str):
        return f"spec.holderIdentity is {_shown(holder)}: it must be a string"
    for field, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        number = spec.get(field)
        if number is not None and (type(number) is not int or not least <= number <= _INT32_MAX):
            return f"spec.{field} is {_shown(number)}: it must be an integer from {least} to {_INT32_MAX}"
    for field in ("acquireTime", "renewTime"):
        time = spec.get(field)
        if time is not None and not (isinstance(time, str) and _MICRO_TIME.fullmatch(time) and parse_time(time) is not None):
            return f"spec.{field} is {_shown(time)}: it must be an RFC 3339 time with six digits of microseconds"
    return ""


def _shown(value: object) -> str:
    return cut(repr(value), 60)
