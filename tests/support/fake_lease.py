"""One Lease behind compare-and-swap, as an API server keeps it, without a wire."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

from sidecar.election.record import JSON, Record, parse
from sidecar.election.requests import Kind, Request
from sidecar.election.store import Conflict, Done, Missing, Outcome
from tests.support.merge_patch import merge


@dataclass
class Api:
    """One Lease, its versions and its past."""

    lease: JSON | None = None
    version: int = 100
    past: list[Record] = field(default_factory=list)
    """Each state the Lease was ever in: what a watch may still deliver."""
    opaque: bool = False
    """Versions that are no integers."""
    admit: Callable[[JSON], JSON] | None = None
    """A mutating admission webhook: what is stored in place of what a candidate asks for."""

    @property
    def record(self) -> Record:
        """The Lease as a candidate reads it."""
        assert self.lease is not None, "the Lease is missing"
        return parse(self.lease)

    def put(self, lease: JSON) -> Done:
        """Store it as the next version, whatever stands there."""
        self.version += 1
        self.lease = deepcopy(lease)
        self.lease.setdefault("metadata", {})["resourceVersion"] = f"v{self.version}" if self.opaque else str(self.version)
        self.past.append(self.record)
        return Done(self.record)

    def edit(self, *, annotations: JSON | None = None, **spec: object) -> Done:
        """An administrator's merge patch, unconditional."""
        return self.put(merge(self.lease or {}, {"metadata": {"annotations": annotations or {}}, "spec": spec}))

    def wipe(self) -> Done:
        """A PUT of the manifest: no holder, no annotation (`helm upgrade --force`), or the Lease made anew (a GitOps tool)."""
        return self.put({"metadata": {"name": "web"}, "spec": {}})

    def touch(self) -> Done:
        """A controller writes a label."""
        return self.put(merge(self.lease, {"metadata": {"labels": {"touched": str(self.version)}}}))

    def delete(self) -> None:
        """Somebody deletes it."""
        self.lease = None
        self.version += 1

    def perform(self, request: Request) -> Outcome:
        """What the server does with a request."""
        body = request.to_json()
        if request.kind is Kind.READ:
            return Done(self.record) if self.lease is not None else Missing()
        if request.kind is Kind.PLACEHOLDER:
            return self.put(self._admitted(merge({}, body))) if self.lease is None else Conflict()
        if self.lease is None:
            return Missing()
        if body["metadata"]["resourceVersion"] != self.record.version:
            return Conflict()
        merged = merge(self.lease, body)
        merged = self._admitted(merged)
        return Done(self.record) if merged == self.lease else self.put(merged)

    def _admitted(self, lease: JSON) -> JSON:
        return self.admit(deepcopy(lease)) if self.admit is not None else lease
