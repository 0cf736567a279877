"""What the own Pod says of its leadership: a label and a condition. Each follows the answer and is set right again, for ever."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from sidecar.asking import Asking, Refused
from sidecar.clock import ns, seconds
from sidecar.leadership import Leadership
from sidecar.lease import JSON, format_time
from sidecar.stores import resource
from sidecar.stores.client import STRATEGIC_MERGE_PATCH
from sidecar.stores.protocol import Unknown

LABEL: Final = "leader-sidecar/role"
LEADER: Final = "leader"
FOLLOWER: Final = "follower"
CONDITION: Final = "leader-sidecar/leading"

SETTLE_SECONDS: Final = 60.0
"""A patch without an answer may land late, and overtake a later one: for as long as an API server works on a request (its
--request-timeout). Then the Pod is looked at once more, and so it is so long after the start: a former process may have sent one."""
LOOK_SECONDS: Final = 3600.0
"""Whoever waits for a change looks this often; nothing depends on it."""


class Kind(Protocol):
    """What of a Pod is marked, and how."""

    what: str
    """In the log and in `/readyz?verbose`."""
    subresource: str
    """Of the Pod: what is patched."""
    looks_first: bool
    """Whether it must be known what stands there before it is written."""

    def patch(self, now_us: int, *, leads: bool) -> JSON:
        """A strategic merge patch that marks the Pod."""

    def shown(self, pod: JSON) -> bool | None:
        """What `pod`, any JSON, is marked as; None where it is neither."""


class Label:
    """`leader-sidecar/role: leader|follower`, for a Service's selector."""

    what, subresource, looks_first = "pod label", "", False

    def patch(self, now_us: int, *, leads: bool) -> JSON:  # noqa: ARG002 - a label has no time
        """The one label; all others stay."""
        return {"metadata": {"labels": {LABEL: LEADER if leads else FOLLOWER}}}

    def shown(self, pod: JSON) -> bool | None:
        """By the label."""
        labels = _object(_object(pod.get("metadata")).get("labels"))
        return {LEADER: True, FOLLOWER: False}.get(str(labels.get(LABEL)))


class Condition:
    """`leader-sidecar/leading: True|False`, for a readiness gate.

    It is looked at first, by a patch that changes nothing (so `get` is no right that is needed): a restart must not move its
    lastTransitionTime where the status stays (Kubernetes API conventions, "Typical status properties").
    """

    what, subresource, looks_first = "pod condition", "status", True

    def __init__(self, lease: str) -> None:
        self._lease = lease

    def patch(self, now_us: int, *, leads: bool) -> JSON:
        """The one condition, merged by its type; written where its status is another, so it is a transition."""
        condition = {
            "type": CONDITION,
            "status": "True" if leads else "False",
            "reason": "Leading" if leads else "NotLeading",
            "message": f"this Pod {'leads' if leads else 'does not lead'} by the Lease {self._lease}",
            "lastTransitionTime": format_time(now_us),
        }
        return {"status": {"conditions": [condition]}}

    def shown(self, pod: JSON) -> bool | None:
        """By the condition's status."""
        conditions = _object(pod.get("status")).get("conditions")
        found = [_object(entry) for entry in conditions] if isinstance(conditions, list) else []
        status = next((entry.get("status") for entry in found if entry.get("type") == CONDITION), None)
        return {"True": True, "False": False}.get(str(status))


class Mark:
    """Keeps one mark as the answer is: after it on the way up, and before the release on the way down (`is_awaited`).

    One request at a time, so that none overtakes another; the latest answer is what is written. `told` is called after each,
    `seen` with the Pod as it is then.
    """

    def __init__(
        self, kind: Kind, asking: Asking, leadership: Leadership, told: Callable[[], None], seen: Callable[[JSON], None] = lambda _: None
    ) -> None:
        self._kind = kind
        self._asking = asking
        self._leadership = leadership
        self._clock = asking.clock
        self._told, self._seen = told, seen
        pod = asking.pod
        self._resource = resource.pod(pod.namespace, pod.name, kind.subresource)
        self._looked = not kind.looks_first
        self._shown: bool | None = None
        """What the Pod is known to say."""
        self._asks = self._pauses = False
        self._settled_ns: int | None = self._clock.boottime_ns() + ns(SETTLE_SECONDS)
        """When the Pod is looked at once more; None where no patch can be on its way."""

    def is_awaited(self) -> bool:
        """Whether an answer is to come soon after which the Pod says what the sidecar says: not while a repeat waits for its turn."""
        return not self._pauses and (self._asks or self._shown is not self._leads())

    async def run(self) -> None:
        """Follow the answer until cancelled, or until the leadership is closed."""
        failures = 0
        while not self._leadership.closed:
            answer = self._leadership.read()
            if self._shown is answer.is_leader:
                await self._leadership.wait(answer.version, self._until_settled_seconds())
                continue
            refused = await self._ask(leads=answer.is_leader)
            failures = failures + 1 if refused is not None else 0
            if refused is not None:
                await self._pause(failures, refused)

    async def _ask(self, *, leads: bool) -> Refused | None:
        """One patch; why it did not do."""
        body: JSON = {"metadata": {"uid": self._asking.pod.uid}}  # immutable, so a namesake of another life is not touched: HTTP 422
        looks = not self._looked
        if not looks:
            patch = self._kind.patch(self._clock.wall_us(), leads=leads)
            body = patch | {"metadata": {**_object(patch.get("metadata")), **body["metadata"]}}
        self._asks = True
        try:
            found = await self._asking.ask("patch", self._resource, body, STRATEGIC_MERGE_PATCH)
        finally:
            self._asks = False
        refused: Refused | None = found if not isinstance(found, dict) else None
        if isinstance(found, dict):
            self._looked, self._shown = True, self._kind.shown(found)
            self._seen(found)
            if not looks and self._shown is not leads:
                refused = Unknown("patched, and the answer does not show it: does an admission webhook take it back?")
        if isinstance(refused, Unknown):
            self._forget()
            self._settled_ns = self._clock.boottime_ns() + ns(SETTLE_SECONDS)
        self._pauses = refused is not None
        self._asking.status.note(self._kind.what, refused, passes=False)
        self._told()
        return refused

    async def _pause(self, failures: int, why: Refused) -> None:
        try:
            await self._asking.pause(failures, why)
        finally:
            self._pauses = False

    def _until_settled_seconds(self) -> float:
        """How long there is nothing to do but to wait for a change; at its end the Pod is no longer known to say anything."""
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
