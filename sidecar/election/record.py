"""The record: a Lease's JSON <-> frozen dataclasses. Total on any JSON (S10): junk becomes an absent value, never an exception.

Shapes: coordination.k8s.io/v1 Lease (Kubernetes API reference, "Lease v1"); MicroTime is RFC 3339 in UTC with six digits.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sidecar.json_values import integer, mapping, strict_loads, string

TERM_ANNOTATION: Final = "leader-sidecar/term"
SUCCESSOR_ANNOTATION: Final = "leader-sidecar/successor"
GROUP_ANNOTATION: Final = "leader-sidecar/group"
STANDBY_ANNOTATION: Final = "leader-sidecar/standby"
"""JSON: the identities of the followers that take a free Lease before all others, in this order (L2)."""
PLACEHOLDER: Final = "leader-sidecar_placeholder"

MAX_DURATION_SECONDS: Final = 3600
"""S6: no follower waits longer, whatever stands in the Lease; the bound of the setting as well."""
MAX_TOKEN: Final = 2**53
"""S8: the largest integer that every JSON reader keeps exact (RFC 8259 section 6)."""
MAX_TRANSITIONS: Final = 2**31 - 1
"""S10: leaseTransitions is an int32."""
_MAX_EXTRA_CHARS: Final = 4096
"""No version of the sidecar writes more into an annotation: a larger value is junk, and a write does not keep it."""

_MAX_STANDBYS: Final = 8
"""The most standbys that are read from a Lease. No version of the sidecar names as many; the rest is junk, which a write drops."""
_MAX_IDENTITY_CHARS: Final = 512

_POD_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
"""A Pod's name becomes part of a URL's path, so only what a DNS name may hold (RFC 1123)."""
_MAX_POD_NAME_CHARS: Final = 253

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME_US: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HolderPod:
    """The Pod that holds a term, as its holder's own write names it."""

    name: str
    uid: str
    renewed_us: int | None = None
    """The renewTime of the write that named it. Where it is not the record's, the name was kept by an older version of the sidecar, or
    written back, and may be a former holder's."""

    def to_json(self) -> JSON:
        """The value of `pod` in the annotation."""
        return {"name": self.name, "uid": self.uid, "renewed": format_time(self.renewed_us)}


@dataclass(frozen=True, slots=True)
class Term:
    """The annotation `leader-sidecar/term`: a term's holder, its fencing token, and which process at which place wrote it."""

    holder: str
    token: int | None = None
    process: str = ""
    place: str = ""
    released: bool = False
    pod: HolderPod | None = None
    """The holder's Pod; None where the holder names none."""
    extra: tuple[tuple[str, str], ...] = ()
    """Keys of a later version of the sidecar, each value as JSON text: every write keeps them."""

    def to_json(self) -> str:
        """The annotation's value."""
        known: JSON = {
            "holder": self.holder,
            "token": self.token,
            "process": self.process,
            "place": self.place,
            "released": self.released,
        }
        if self.pod is not None:
            known["pod"] = self.pod.to_json()
        members = [*self.extra, *((key, json.dumps(value)) for key, value in known.items())]
        return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in members) + "}"


@dataclass(frozen=True, slots=True)
class Record:
    """A Lease as last seen."""

    version: str
    """metadata.resourceVersion: opaque, except that S4 and S8 read it as an integer where it is one."""
    holder: str = ""
    """spec.holderIdentity; "" for nobody, where the field is empty or absent."""
    duration_seconds: int | None = None
    """spec.leaseDurationSeconds, at most an hour (S6); None where it is missing or no positive integer."""
    acquire_time_us: int | None = None
    renew_time_us: int | None = None
    """Both in microseconds since the epoch; None where absent or junk. For people, and to tell one renewal from the next."""
    transitions: int | None = None
    """spec.leaseTransitions, 0 to 2^31 - 1; None where absent or junk."""
    term: Term | None = None
    successor: str = ""
    group: str = ""
    """The group that has marked the Lease, where several instances of one product share a namespace; "" for none: open to all."""
    standbys: tuple[str, ...] = ()
    """The followers that try first when the Lease is free (L2). Standing by gives no right. Never the holder."""

    @property
    def own_term(self) -> Term | None:
        """The term annotation, if it belongs to the present holder: such a record is "of a sidecar"."""
        return self.term if self.term is not None and self.holder and self.term.holder == self.holder else None

    @property
    def token(self) -> int | None:
        """The present holder's fencing token; None for a client-go program (S8)."""
        return self.own_term.token if self.own_term is not None else None

    @property
    def pod(self) -> HolderPod | None:
        """The present holder's Pod, if the holder's last write names it; else None."""
        pod = self.own_term.pod if self.own_term is not None else None
        return pod if pod is not None and pod.renewed_us is not None and pod.renewed_us == self.renew_time_us else None

    @property
    def renewal(self) -> tuple[str, str, int | None, int | None]:
        """What tells one renewal from the next (S6): holder, process, renewTime and transitions as a whole."""
        return (self.holder, self.term.process if self.term else "", self.renew_time_us, self.transitions)

    def standbys_without(self, identity: str) -> tuple[str, ...]:
        """The standbys other than `identity`, in their order."""
        return tuple(one for one in self.standbys if one != identity)

    def same_renewal(self, other: "Record") -> bool:
        """Whether both records show the same renewal. To prune an annotation, or to put it back, makes no other renewal (S6)."""
        if self.renewal == other.renewal:
            return True
        pruned = self.holder != "" and (self.own_term is None or other.own_term is None)
        mine, theirs = self.renewal, other.renewal
        return pruned and (mine[0], *mine[2:]) == (theirs[0], *theirs[2:])

    @property
    def version_number(self) -> int | None:
        """The resourceVersion as an integer (what etcd gives, KEP-5504), or None."""
        return version_number(self.version)

    def is_later(self, than: "Record | None") -> bool:
        """Whether this record's version is certainly later; versions that are no integers have no order (S4)."""
        if than is None or than.version_number is None or self.version_number is None:
            return False
        return self.version_number > than.version_number


def version_number(version: str | None) -> int | None:
    """A resourceVersion as an integer, or None."""
    return int(version) if version and version.isascii() and version.isdigit() and len(version) < 20 else None  # noqa: PLR2004 - 2^63 has 19 digits


def pod_name(identity: str) -> str:
    """The identity up to its last `_`: what the older sidecars call name."""
    return identity.rpartition("_")[0] or identity


def parse(lease: object) -> Record:
    """The record of a Lease's JSON, for any JSON."""
    metadata = mapping(mapping(lease).get("metadata"))
    annotations = mapping(metadata.get("annotations"))
    spec = mapping(mapping(lease).get("spec"))
    duration = integer(spec.get("leaseDurationSeconds"))
    transitions = integer(spec.get("leaseTransitions"))
    return Record(
        version=string(metadata.get("resourceVersion")),
        holder=string(spec.get("holderIdentity")),
        duration_seconds=min(duration, MAX_DURATION_SECONDS) if duration is not None and duration > 0 else None,
        acquire_time_us=parse_time(spec.get("acquireTime")),
        renew_time_us=parse_time(spec.get("renewTime")),
        transitions=transitions if transitions is not None and 0 <= transitions <= MAX_TRANSITIONS else None,
        term=_parse_term(annotations.get(TERM_ANNOTATION)),
        successor=string(annotations.get(SUCCESSOR_ANNOTATION)),
        group=string(annotations.get(GROUP_ANNOTATION)),
        standbys=_parse_standbys(annotations.get(STANDBY_ANNOTATION), string(spec.get("holderIdentity"))),
    )


def merge_patch(record: Record, base_version: str | None) -> JSON:
    """The merge patch (RFC 7386) that writes `record`, conditional on `base_version` (S5), and touches no other field.

    Without a base version: the body of a create.
    """
    annotations: JSON = {}
    if record.term is not None:
        annotations[TERM_ANNOTATION] = record.term.to_json()
    if record.group:
        annotations[GROUP_ANNOTATION] = record.group
    annotations[SUCCESSOR_ANNOTATION] = record.successor or None
    annotations[STANDBY_ANNOTATION] = _standbys(record.standbys)
    if base_version is None:
        annotations = {key: value for key, value in annotations.items() if value is not None}
    metadata: JSON = {"annotations": annotations}
    if base_version is not None:
        metadata["resourceVersion"] = base_version
    spec = {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": record.duration_seconds,
        "acquireTime": format_time(record.acquire_time_us),
        "renewTime": format_time(record.renew_time_us),
        "leaseTransitions": record.transitions,
    }
    return {"metadata": metadata, "spec": spec}


def standby_patch(standbys: tuple[str, ...], base_version: str) -> JSON:
    """The merge patch that writes these standbys and touches nothing else, conditional on `base_version` (S5)."""
    return {"metadata": {"annotations": {STANDBY_ANNOTATION: _standbys(standbys)}, "resourceVersion": base_version}}


def parse_time(value: object) -> int | None:
    """Microseconds since the epoch of an RFC 3339 time, or None."""
    if not isinstance(value, str) or len(value) > len("2026-11-23T08:00:00.000000000+00:00"):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment - _EPOCH) // timedelta(microseconds=1) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=8)  # the answers to a thousand waiting clients hold the same two times
def format_time(time_us: int | None) -> str | None:
    """MicroTime: `2026-11-23T08:00:00.000000Z`, always with six digits (the API server refuses fewer)."""
    if time_us is None:
        return None
    moment = _EPOCH + timedelta(microseconds=min(max(time_us, 0), _MAX_TIME_US))
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def later_time_us(wall_us: int, *others: int | None) -> int:
    """A renewTime above each of `others` (S3): the wall clock, else the largest + 1 µs.

    No time is above one at the end of the calendar: then the wall clock, which differs from it.
    """
    after = max((other for other in others if other is not None and other < _MAX_TIME_US), default=0) + 1
    return max(wall_us, after)


def _parse_term(value: object) -> Term | None:
    """The term of an annotation's value; None for junk.

    A key that stands twice makes the whole junk: another reader, such as an admission policy, may have read the other one.
    """
    try:
        found = strict_loads(value) if isinstance(value, str) else None
        if not isinstance(found, dict) or not isinstance(found.get("holder"), str):
            return None
        token = integer(found.get("token"))
        known = {"holder", "token", "process", "place", "released", "pod"}
        extra = tuple((key, json.dumps(found[key])) for key in found if key not in known)
    except (ValueError, RecursionError):
        return None
    return Term(
        holder=found["holder"],
        token=token if token is not None and 0 <= token <= MAX_TOKEN else None,
        process=string(found.get("process")),
        place=string(found.get("place")),
        released=found.get("released") is True,
        pod=_parse_pod(found.get("pod")),
        extra=extra if sum(len(key) + len(text) for key, text in extra) <= _MAX_EXTRA_CHARS else (),
    )


def _parse_pod(value: object) -> HolderPod | None:
    """The Pod of the annotation's `pod`; None where it holds no possible name and uid of a Pod."""
    pod = mapping(value)
    name, uid = string(pod.get("name")), string(pod.get("uid"))
    fits = len(name) <= _MAX_POD_NAME_CHARS and _POD_NAME.fullmatch(name) and 0 < len(uid) <= _MAX_POD_NAME_CHARS
    return HolderPod(name, uid, parse_time(pod.get("renewed"))) if fits else None


def _standbys(standbys: tuple[str, ...]) -> str | None:
    """The annotation's value; None, which removes the annotation, for none or for more than `_parse_standbys` reads."""
    value = json.dumps(standbys, separators=(",", ":"))
    return value if standbys and len(value) <= _MAX_EXTRA_CHARS else None


def _parse_standbys(value: object, holder: str) -> tuple[str, ...]:
    """The standbys of an annotation's value, each once and never the holder; junk is left out."""
    try:
        found = strict_loads(value) if isinstance(value, str) and len(value) <= _MAX_EXTRA_CHARS else None
    except (ValueError, RecursionError):
        return ()
    named = [one for one in found if isinstance(one, str) and 0 < len(one) <= _MAX_IDENTITY_CHARS] if isinstance(found, list) else []
    return tuple(one for one in dict.fromkeys(named) if one != holder)[:_MAX_STANDBYS]
