"""A label and a condition on the own Pod that tell whether it leads. Each follows the answer, and repairs itself."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from sidecar.clock import ns, seconds
from sidecar.election.record import JSON, format_time
from sidecar.election.store import Unknown
from sidecar.features.retry import Failure, Retry
from sidecar.kubernetes import resource
from sidecar.kubernetes.client import STRATEGIC_MERGE_PATCH
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.leadership import Leadership

LABEL: Final = "leader-sidecar/role"
LEADER: Final = "leader"
FOLLOWER: Final = "follower"
CONDITION: Final = "leader-sidecar/leading"

SETTLE_SECONDS: Final = 60.0
"""A patch without an answer may land late, after a later patch, for as long as an API server works on a request (its --request-timeout).
When that time is over the Pod is looked at once more; also after the start, for a former process may have sent a patch."""
LOOK_SECONDS: Final = 3600.0
"""The longest wait for a change; nothing depends on its length."""


class Kind(Protocol):
    """Which field of the Pod: the label, or the condition."""

    line: HealthLine
    """Its name in the log and in `/readyz?verbose`."""
    subresource: str
    """The part of the Pod that the patch is sent to; "" for the Pod itself."""
    looks_first: bool
    """Whether the present value must be known before a new one is written."""

    def patch(self, now_us: int, *, leads: bool) -> JSON:
        """A strategic merge patch of this field."""

    def shown(self, pod: JSON) -> bool | None:
        """Whether `pod`, any JSON, is shown as leading; None where the field is missing."""


class Label:
    """`leader-sidecar/role: leader|follower`, for a Service's selector."""

    line, subresource, looks_first = HealthLine.POD_LABEL, "", False

    def patch(self, now_us: int, *, leads: bool) -> JSON:  # noqa: ARG002 - a label has no time
        """A patch of the one label; all others stay."""
        return {"metadata": {"labels": {LABEL: LEADER if leads else FOLLOWER}}}

    def shown(self, pod: JSON) -> bool | None:
        """See `Kind`; by the label."""
        labels = _object(_object(pod.get("metadata")).get("labels"))
        return {LEADER: True, FOLLOWER: False}.get(str(labels.get(LABEL)))


class Condition:
    """`leader-sidecar/leading: True|False`, for a readiness gate.

    The Pod is looked at first, by a patch that changes nothing (so no right to `get` is needed): a restart must not move the condition's
    lastTransitionTime where its status stays (Kubernetes API conventions, "Typical status properties").
    """

    line, subresource, looks_first = HealthLine.POD_CONDITION, "status", True

    def __init__(self, lease: str) -> None:
        self._lease = lease

    def patch(self, now_us: int, *, leads: bool) -> JSON:
        """A patch of the one condition, merged by its type. It is sent only where the status is another, so it is a transition."""
        condition = {
            "type": CONDITION,
            "status": "True" if leads else "False",
            "reason": "Leading" if leads else "NotLeading",
            "message": f"this Pod {'leads' if leads else 'does not lead'} (Lease {self._lease})",
            "lastTransitionTime": format_time(now_us),
        }
        return {"status": {"conditions": [condition]}}

    def shown(self, pod: JSON) -> bool | None:
        """See `Kind`; by the condition's status."""
        conditions = _object(pod.get("status")).get("conditions")
        found = [_object(entry) for entry in conditions] if isinstance(conditions, list) else []
        status = next((entry.get("status") for entry in found if entry.get("type") == CONDITION), None)
        return {"True": True, "False": False}.get(str(status))


class PodField:
    """Keeps the label, or the condition, equal to the answer. It says leader once the Pod leads, and follower before the release.

    One request is under way at a time, so that no request overtakes another; it writes the latest answer. `told` is called after each
    request, `seen` with the Pod as its answer shows it.
    """

    def __init__(
        self, kind: Kind, retry: Retry, leadership: Leadership, told: Callable[[], None], seen: Callable[[JSON], None] = lambda _: None
    ) -> None:
        self._kind = kind
        self._retry = retry
        self._leadership = leadership
        self._clock = retry.clock
        self._told, self._seen = told, seen
        pod = retry.pod
        self._resource = resource.pod(pod.namespace, pod.name, kind.subresource)
        self._looked = not kind.looks_first
        self._shown: bool | None = None
        """What the Pod is known to show."""
        self._is_patching = self._pauses = False
        self._settled_ns: int | None = self._clock.boottime_ns() + ns(SETTLE_SECONDS)
        """When to look at the Pod once more; None where no patch can still land late."""

    def is_awaited(self) -> bool:
        """Whether the field will soon be right, so that a release should wait for it; not while a repeat waits for its turn."""
        return not self._pauses and (self._is_patching or self._shown is not self._leads())

    async def run(self) -> None:
        """Follow the answer until cancelled, or until the leadership is closed."""
        failures = 0
        while not self._leadership.closed:
            answer = self._leadership.read()
            if self._shown is answer.is_leader:
                await self._leadership.wait(answer.version, self._until_settled_seconds())
                continue
            refused = await self._patch(leads=answer.is_leader)
            failures = failures + 1 if refused is not None else 0
            if refused is not None:
                await self._pause(failures, refused)

    async def _patch(self, *, leads: bool) -> Failure | None:
        """Send one patch. Returns why it failed; None where it worked."""
        body: JSON = {"metadata": {"uid": self._retry.pod.uid}}  # immutable, so an earlier or later Pod of that name is refused: HTTP 422
        looks = not self._looked
        if not looks:
            patch = self._kind.patch(self._clock.wall_us(), leads=leads)
            body = patch | {"metadata": {**_object(patch.get("metadata")), **body["metadata"]}}
        self._is_patching = True
        try:
            found = await self._retry.request("patch", self._resource, body, STRATEGIC_MERGE_PATCH)
        finally:
            self._is_patching = False
        refused: Failure | None = found if not isinstance(found, dict) else None
        if isinstance(found, dict):
            self._looked, self._shown = True, self._kind.shown(found)
            self._seen(found)
            if not looks and self._shown is not leads:
                refused = Unknown("the patch was accepted, but the Pod does not show it: find the admission webhook that removes it")
        if isinstance(refused, Unknown):
            self._forget()
            self._settled_ns = self._clock.boottime_ns() + ns(SETTLE_SECONDS)
        self._pauses = refused is not None
        self._retry.status.note(self._kind.line, refused, passes=False)
        self._told()
        return refused

    async def _pause(self, failures: int, why: Failure) -> None:
        try:
            await self._retry.pause(failures, why)
        finally:
            self._pauses = False

    def _until_settled_seconds(self) -> float:
        """How long to wait for a change of the answer. Once `_settled_ns` is past, forget what it shows, so that the Pod is looked at."""
        if self._settled_ns is None:
            return LOOK_SECONDS
        left_ns = self._settled_ns - self._clock.boottime_ns()
        if left_ns > 0:
            return seconds(left_ns)
        self._settled_ns = None
        self._forget()
        return 0.0

    def _forget(self) -> None:
        self._shown, self._looked = None, not self._kind.looks_first

    def _leads(self) -> bool:
        return self._leadership.read().is_leader


def _object(found: Any) -> JSON:
    """A JSON object, or an empty one for anything else."""
    return found if isinstance(found, dict) else {}
