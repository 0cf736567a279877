"""Hands the leadership over to a Pod of the current revision, so that a rollout that waits for that Pod goes on. Off by default.

It looks only while this candidate leads, and only as often as the election's rate limiter allows (L2). Before it hands over it writes the
revision and the time into an annotation of the Lease, on condition that the Lease still has the version that was read (S5). If Pods of that
revision crash, and a Pod of an old one leads again, that leader reads the annotation and does not hand over once more for a while.
"""

import json
import logging
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from sidecar.election.record import JSON, format_time, parse_time
from sidecar.election.store import Busy, Denied, Unknown
from sidecar.features import revisions
from sidecar.features.revisions import Owner, Waiting
from sidecar.json_values import strict_loads
from sidecar.kubernetes import resource
from sidecar.kubernetes.client import Client
from sidecar.kubernetes.resource import Resource
from sidecar.kubernetes.responses import Answer, Received
from sidecar.logs import move as log_move
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.identity import Pod
from sidecar.runtime.runner import Runner, WrongStateError

YIELDED_ANNOTATION: Final = "leader-sidecar/yielded"
"""The annotation on the Lease: JSON `{"to", "revision", "at"}`: the Pod, its revision, and the time by the API server's clock."""
LOOK_SECONDS: Final = 10.0
"""The shortest time between two looks."""
REST_PERIODS: Final = 2
"""For each request of a look so many retry periods pass until the next look: the election keeps half of what the rate limiter allows."""
AGAIN_SECONDS: Final = 600
"""In this time one handover to a revision at most."""
MOST: Final = 100
"""The most objects that a list asks for: one Pod that can lead is enough."""

_US: Final = 1_000_000

_log: Final = logging.getLogger(__name__)


class _UndecidedError(Exception):
    """This look decides nothing, for a request failed or an object is not as expected; the next look may."""

    def __init__(self, why: Denied | Busy | Unknown) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class _Current:
    """The current revision of the own Pod's owner, where the own Pod is of an older revision."""

    revision: str
    """A unique name of that revision: the owner's kind and uid, and the revision's hash or number."""
    selector: str
    """The label selector of the Pods that may be of that revision."""
    owner: Owner
    """The owner of the Pods of that revision; for the Pods of a ReplicaSet it is the Deployment above."""
    number: str = ""
    """A Deployment's revision, from its annotation; "" for other owners."""


def is_barred(annotation: str, revision: str, now_us: int) -> bool:
    """Whether any leader handed over to `revision` less than AGAIN_SECONDS ago. An annotation that cannot be read bars nothing."""
    try:
        found = strict_loads(annotation) if annotation else None
    except (ValueError, RecursionError):
        return False
    at_us = parse_time(found.get("at")) if isinstance(found, dict) and found.get("revision") == revision else None
    return at_us is not None and abs(now_us - at_us) < AGAIN_SECONDS * _US


class RolloutHandover:
    """Looks for a Pod of the current revision while this candidate leads, and hands over to it."""

    def __init__(self, runner: Runner, client: Client, pod: Pod) -> None:
        self._runner, self._client, self._pod = runner, client, pod
        self._candidate, self._clock, self._rate_limiter = runner.candidate, runner.clock, runner.rate_limiter
        self._leadership, self._status = runner.leadership, runner.status
        names = runner.leadership.names
        self._lease = resource.lease(names.namespace, names.lease)
        self._me: JSON | None = None
        """The own Pod as it was first read: its owner and its revision never change."""
        self._now_us = 0
        """The API server's clock, as of its last answer."""
        self._asked = 0
        """Requests of this look so far."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._clock.sleep(max(LOOK_SECONDS, await self.look()))

    async def look(self) -> float:
        """If this candidate leads, look once for a Pod of the current revision and hand over to it. Returns the seconds to wait next."""
        if not self._leadership.read().is_leader:
            return 0.0
        self._asked, asked_seconds = 0, 0.0
        try:
            await self._look()
            self._status.note(HealthLine.ROLLOUT_HANDOVER, None)
        except _UndecidedError as failure:
            self._status.note(HealthLine.ROLLOUT_HANDOVER, failure.why)
            asked_seconds = self._runner.situation().asked_seconds(failure.why)
        return max(asked_seconds, self._asked * REST_PERIODS * self._candidate.retry_period_seconds)

    async def _look(self) -> None:
        me = self._me = self._me or await self._own_pod()
        current = await self._current(me)
        if current is None:
            return
        container = revisions.sidecar_container(me)
        if not container:
            why = "no container of this Pod has LEADER_ROLLOUT_HANDOVER in its env or args: envFrom is not enough"
            raise _UndecidedError(Denied(why))
        pods = await self._list(self._resource("", "pods"), current.selector)
        waiting = Waiting(container, self._now_us, self._candidate.lease_duration_seconds * _US)
        for pod in sorted((pod for pod in pods if revisions.can_lead(pod, waiting)), key=revisions.name):
            if await self._is_of(pod, current):
                await self._hand_over(revisions.name(pod), current.revision)
                return

    # ---- what is current ----------------------------------------------------------------------------------------------------------

    async def _own_pod(self) -> JSON:
        pod = await self._get(self._resource("", "pods", self._pod.name))
        if revisions.uid(pod) != self._pod.uid:
            raise _UndecidedError(Denied(f"the Pod {self._pod.name} does not have the uid of POD_UID, {self._pod.uid}"))
        return pod

    async def _current(self, me: JSON) -> _Current | None:
        """The current revision. None where the own Pod is of it, or where the owner's status does not yet tell which revision it is."""
        match owner := revisions.controller(me):
            case Owner("ReplicaSet"):
                return await self._of_deployment(owner)
            case Owner("StatefulSet"):
                found = await self._owner(owner)
                current = revisions.update_revision(found)
            case Owner("DaemonSet"):
                found = await self._owner(owner)
                listed = await self._list(self._resource("apps", "controllerrevisions"), revisions.selector(found))
                current = revisions.newest_hash(listed, owner.uid)
            case _:
                self._me = None
                what = f"{owner.kind} {owner.name}" if owner is not None else "nothing of the group apps"
                raise _UndecidedError(Denied(f"this Pod belongs to {what}: only a Deployment, StatefulSet or DaemonSet has revisions"))
        if not revisions.is_settled(found) or current in ("", revisions.label(me, revisions.REVISION_HASH)):
            return None
        narrowed = f"{revisions.selector(found)},{revisions.REVISION_HASH}={current}"
        return _Current(f"{owner.kind}/{owner.uid}/{current}", narrowed, owner)

    async def _of_deployment(self, replica_set: Owner) -> _Current | None:
        own = await self._owner(replica_set)
        owner = revisions.controller(own)
        if owner is None or owner.kind != "Deployment":
            raise _UndecidedError(Denied(f"the ReplicaSet {replica_set.name} belongs to no Deployment: it has no revisions"))
        found = await self._owner(owner)
        number = revisions.annotation(found, revisions.DEPLOYMENT_REVISION)
        if not revisions.is_settled(found) or number in ("", revisions.annotation(own, revisions.DEPLOYMENT_REVISION)):
            return None
        others = f"{revisions.selector(found)},{revisions.TEMPLATE_HASH}!={revisions.label(own, revisions.TEMPLATE_HASH)}"
        return _Current(f"{owner.kind}/{owner.uid}/{number}", others, owner, number)

    async def _owner(self, owner: Owner) -> JSON:
        """Read an owner. Another object of the same name, with another uid, is not that owner."""
        found = await self._get(self._resource("apps", f"{owner.kind.lower()}s", owner.name))
        if revisions.uid(found) != owner.uid:
            self._me = None
            raise _UndecidedError(Unknown(f"{owner.kind} {owner.name} does not have the uid that this Pod names as its owner"))
        return found

    async def _is_of(self, pod: object, current: _Current) -> bool:
        """Whether a Pod that the selector finds is of the current revision and of the same owner."""
        owner = revisions.controller(pod)
        if owner is None or not current.number:
            return owner == current.owner
        if owner.kind != "ReplicaSet":
            return False
        found = await self._owner(owner)
        return revisions.controller(found) == current.owner and revisions.annotation(found, revisions.DEPLOYMENT_REVISION) == current.number

    # ---- handing over -------------------------------------------------------------------------------------------------------------

    async def _hand_over(self, to: str, revision: str) -> None:
        """Write the handover into the Lease, then resign in favour of the Pod `to`. If the write fails, do not resign."""
        await self._rate_limiter.acquire(2)  # both at once: a renewal in between would change the version
        lease = await self._ask("get", self._lease)
        barred = is_barred(revisions.annotation(lease, YIELDED_ANNOTATION), revision, self._now_us)
        if barred or _holder(lease) != self._candidate.identity:
            return
        note = json.dumps({"to": to, "revision": revision, "at": format_time(self._now_us)})
        metadata = {"resourceVersion": revisions.version(lease), "annotations": {YIELDED_ANNOTATION: note}}
        await self._ask("patch", self._lease, {"metadata": metadata})
        try:
            self._runner.resign(None, to)
        except WrongStateError:  # the term has ended meanwhile
            return
        log_move(_log, logging.INFO, "handing over to a Pod of the current revision", to=to, revision=revision)

    # ---- requests -----------------------------------------------------------------------------------------------------------------

    def _resource(self, group: str, plural: str, name: str = "") -> Resource:
        return Resource(group, "v1", self._pod.namespace, plural, name)

    async def _get(self, what: Resource) -> JSON:
        await self._rate_limiter.acquire()
        return await self._ask("get", what)

    async def _list(self, what: Resource, selector: str) -> list[Any]:
        await self._rate_limiter.acquire()
        items = (await self._ask("list", what, query={"labelSelector": selector, "limit": str(MOST)})).get("items")
        return items if isinstance(items, list) else []

    async def _ask(self, verb: str, what: Resource, body: JSON | None = None, query: dict[str, str] | None = None) -> JSON:
        """Send a request that the rate limiter has allowed. Returns the object; raises _UndecidedError where there is none."""
        self._asked += 1
        limit_seconds = self._candidate.request_limit_seconds
        found = await self._client.request(verb, what, body, query=query, limit_seconds=limit_seconds)
        match found:
            case Received():
                self._now_us = _date_us(found.answer)
                return found.object
            case Denied() | Busy():
                raise _UndecidedError(found)
        raise _UndecidedError(Unknown(f"{what.asked(verb)}: {found.message}"))


def _holder(lease: JSON) -> object:
    spec = lease.get("spec")
    return spec.get("holderIdentity") if isinstance(spec, dict) else None


def _date_us(answer: Answer) -> int:
    """The API server's clock, from the Date of its answer (RFC 9110 section 6.6.1): only that clock is compared with its timestamps."""
    try:
        return round(parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC).timestamp()) * _US
    except (ValueError, TypeError, OverflowError):
        raise _UndecidedError(Unknown("the API server's answer has no Date, so the age of a Pod is not known")) from None
