"""The API server and its etcd: one Lease behind compare-and-swap, its past, its watches, and what administrators do to it."""

import random
from collections import deque
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from sidecar.election.record import JSON, SUCCESSOR_ANNOTATION, TERM_ANNOTATION, Record, parse
from sidecar.election.store import Conflict, Done, Missing, Outcome
from sidecar.local.validation import merged
from tests.simulation.versions import text

Stream = Callable[[Record | None], None]
"""What a watch is told: the Lease as it is now, or None where it was deleted."""


class Server:
    """One Lease. Versions grow by more than one: etcd counts the writes to every object."""

    def __init__(self, seed: str, *, opaque: bool = False) -> None:
        self._random = random.Random(seed)
        self.version = 1000
        self.opaque = opaque
        """Its versions are no integers, and its reads are quorum reads."""
        self.admit: Callable[[JSON], JSON] | None = None
        """A mutating admission webhook: what is stored in place of what a candidate asks for."""
        self.asked: Record | None = None
        """The last write as it was asked for."""
        self.lease: JSON | None = None
        self.record: Record | None = None
        self.streams: list[Stream] = []
        self.past: deque[tuple[int, JSON | None]] = deque(maxlen=64)
        """Earlier states with their versions, the newest last."""
        self.fragile_since: tuple[int | None] | None = None
        """The renewTime over which an administrator has removed what a new process, or one that was shown an older state, would need."""
        self.put({"metadata": {"name": "web"}, "spec": {}})  # as the manifests ship it

    @property
    def fragile(self) -> bool:
        """Until the next own write of a candidate S1 promises nothing to a new process, nor where a quorum read is none."""
        record = self.record
        if self.fragile_since is not None and record is not None and record.term is not None:
            self.fragile_since = self.fragile_since if record.renew_time_us in self.fragile_since else None
        return self.fragile_since is not None

    def mark_fragile(self) -> None:
        """Call after an edit by hand that leaves out, or shortens, what a holder has promised."""
        self.fragile_since = (self.record.renew_time_us if self.record is not None else None,)

    def put(self, lease: JSON | None) -> Record | None:
        """A new state, told to every watch."""
        self.version += self._random.choice((1, 1, 1, 2, 30))
        self._set(lease)
        return self.record

    def _set(self, lease: JSON | None) -> None:
        if lease is not None:
            lease = lease | {"metadata": lease.get("metadata", {}) | {"resourceVersion": text(self.version, opaque=self.opaque)}}
        self.lease, self.record = lease, parse(lease) if lease is not None else None
        self.past.append((self.version, lease))
        for stream in list(self.streams):
            stream(self.record)

    # ---- requests -----------------------------------------------------------------------------------------------------------------

    def read(self, stale: int = 0) -> Outcome:
        """A GET; a lagging replica answers from `stale` states ago."""
        stale = 0 if self.fragile or self.opaque else stale
        lease = self.past[-1 - min(stale, len(self.past) - 1)][1]
        return Done(parse(lease)) if lease is not None else Missing()

    def patch(self, body: JSON) -> Outcome:
        """A merge patch; one that changes nothing makes no new version."""
        if self.lease is None:
            return Missing()
        if body["metadata"].get("resourceVersion", self._lease_version()) != self._lease_version():
            return Conflict()
        after = self._admitted(merged(self.lease, body))
        record = self.record if after == self.lease else self.put(after)
        assert record is not None
        return Done(record)

    def create(self, body: JSON) -> Outcome:
        """A POST."""
        if self.lease is not None:
            return Conflict()
        record = self.put(self._admitted(merged({"metadata": {"name": "web"}}, body)))
        assert record is not None
        return Done(record)

    def _admitted(self, lease: JSON) -> JSON:
        self.asked = parse(lease)
        return self.admit(deepcopy(lease)) if self.admit is not None else lease

    def _lease_version(self) -> str:
        assert self.lease is not None
        return str(self.lease["metadata"]["resourceVersion"])

    # ---- administrators -----------------------------------------------------------------------------------------------------------

    def edit(self, *, annotations: JSON | None = None, labels: JSON | None = None, **spec: Any) -> None:
        """An unconditional merge patch by hand."""
        if self.lease is not None:
            self.put(merged(self.lease, {"metadata": {"annotations": annotations or {}, "labels": labels or {}}, "spec": spec}))

    def prune(self) -> None:
        """A tool removes the annotations that it does not know."""
        self.edit(annotations={TERM_ANNOTATION: None, SUCCESSOR_ANNOTATION: None})

    def wipe(self) -> None:
        """Made anew as the manifests ship it: no holder and no annotation."""
        self.put({"metadata": {"name": "web"}, "spec": {}})

    def delete(self) -> None:
        """`kubectl delete lease`."""
        if self.lease is not None:
            self.put(None)

    def restore(self, ago: int) -> None:
        """A restore of etcd: back to an older state, and so are its versions."""
        for _ in range(min(ago, len(self.past) - 1)):
            self.past.pop()
        self.version, lease = self.past.pop()
        self._set(lease)

    def write_back(self, ago: int) -> None:
        """A backup tool writes an older Lease over the present one, as a new version."""
        lease = self.past[-1 - min(ago, len(self.past) - 1)][1]
        if lease is not None:
            self.put(lease)
