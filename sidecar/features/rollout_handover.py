"""Hands the leadership over to a Pod of the current revision, so that a rollout that waits for it goes on. Off by default.

It looks only while this candidate leads, and asks only as often as the election's own budget allows (L2). That it yields, and to which
revision, it first writes into the Lease, beside what the election keeps there, conditional on what it has read (S5): whoever leads next, of
an old revision because the current one has crashed, does not yield to that one again for a while.
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
from sidecar.runtime.identity import Pod
from sidecar.runtime.runner import OutOfSeason, Runner

YIELDED_ANNOTATION: Final = "leader-sidecar/yielded"
"""On the Lease: JSON `{"to", "revision", "at"}`, the Pod and its revision, and when by the API server's clock."""
LOOK_SECONDS: Final = 10.0
REST_PERIODS: Final = 2
"""Retry periods between two looks for each request of the former: half of what the budget allows is left to the election."""
AGAIN_SECONDS: Final = 600
"""At most once a revision in this time."""
MOST: Final = 100
"""Objects of a list: of Pods one is enough."""
PROBLEM: Final = "rollout-handover"
"""Its line in `/readyz?verbose`."""

_US: Final = 1_000_000

_log: Final = logging.getLogger(__name__)


class _CannotTell(Exception):  # noqa: N818 - said to a person
    """This look tells nothing; the next one may."""

    def __init__(self, why: Denied | Busy | Unknown) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class _Current:
    """The current revision of the own Pod's owner, where the own Pod is of another one."""

    revision: str
    """No other revision of any owner is called so: the owner's kind and uid, and what tells its revisions apart."""
    selector: str
    owner: Owner
    """Of the Pods of that revision: for a Deployment's it is one of several ReplicaSets, and this is the Deployment."""
    number: str = ""
    """A Deployment's revision, as its annotation has it."""


def is_barred(annotation: str, revision: str, now_us: int) -> bool:
    """Whether that revision was yielded to less than ten minutes ago, by anyone. Junk bars nothing."""
    try:
        found = strict_loads(annotation) if annotation else None
    except (ValueError, RecursionError):
        return False
    at_us = parse_time(found.get("at")) if isinstance(found, dict) and found.get("revision") == revision else None
    return at_us is not None and abs(now_us - at_us) < AGAIN_SECONDS * _US


class Yielding:
    """The looks of one sidecar."""

    def __init__(self, runner: Runner, client: Client, pod: Pod) -> None:
        self._runner, self._client, self._pod = runner, client, pod
        self._candidate, self._clock, self._rate_limiter = runner.candidate, runner.clock, runner.rate_limiter
        self._leadership, self._status = runner.leadership, runner.status
        names = runner.leadership.names
        self._lease = resource.lease(names.namespace, names.lease)
        self._me: JSON | None = None
        """The own Pod as it was first seen: its owner and its revision stay."""
        self._now_us = 0
        """The API server's clock, as of its last answer."""
        self._asked = 0

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._clock.sleep(max(LOOK_SECONDS, await self.look()))

    async def look(self) -> float:
        """One look, while this candidate leads; how long to wait before the next one, in seconds."""
        if not self._leadership.read().is_leader:
            return 0.0
        self._asked, asked_seconds = 0, 0.0
        try:
            await self._look()
            self._status.note(PROBLEM, None)
        except _CannotTell as failure:
            self._status.note(PROBLEM, failure.why)
            asked_seconds = self._runner.situation().asked_seconds(failure.why)
        return max(asked_seconds, self._asked * REST_PERIODS * self._candidate.retry_period_seconds)

    async def _look(self) -> None:
        me = self._me = self._me or await self._own_pod()
        current = await self._current(me)
        if current is None:
            return
        container = revisions.sidecar_container(me)
        if not container:
            raise _CannotTell(
                Denied("the own Pod does not tell which container the sidecar is: LEADER_ROLLOUT_HANDOVER must stand in its env itself")
            )
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
            raise _CannotTell(Denied(f"the Pod {self._pod.name} has another uid than POD_UID says: {self._pod.uid}"))
        return pod

    async def _current(self, me: JSON) -> _Current | None:
        """None where the own Pod is of the current revision, or its owner's controller has not yet said which that is."""
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
                raise _CannotTell(Denied(f"the own Pod belongs to {what}: only a Deployment, StatefulSet or DaemonSet has revisions"))
        if not revisions.is_settled(found) or current in ("", revisions.label(me, revisions.REVISION_HASH)):
            return None
        narrowed = f"{revisions.selector(found)},{revisions.REVISION_HASH}={current}"
        return _Current(f"{owner.kind}/{owner.uid}/{current}", narrowed, owner)

    async def _of_deployment(self, replica_set: Owner) -> _Current | None:
        own = await self._owner(replica_set)
        owner = revisions.controller(own)
        if owner is None or owner.kind != "Deployment":
            raise _CannotTell(Denied(f"the ReplicaSet {replica_set.name} belongs to no Deployment: it has no revisions"))
        found = await self._owner(owner)
        number = revisions.annotation(found, revisions.DEPLOYMENT_REVISION)
        if not revisions.is_settled(found) or number in ("", revisions.annotation(own, revisions.DEPLOYMENT_REVISION)):
            return None
        others = f"{revisions.selector(found)},{revisions.TEMPLATE_HASH}!={revisions.label(own, revisions.TEMPLATE_HASH)}"
        return _Current(f"{owner.kind}/{owner.uid}/{number}", others, owner, number)

    async def _owner(self, owner: Owner) -> JSON:
        """An owner as it is now; another one of its name is none."""
        found = await self._get(self._resource("apps", f"{owner.kind.lower()}s", owner.name))
        if revisions.uid(found) != owner.uid:
            self._me = None
            raise _CannotTell(Unknown(f"{owner.kind} {owner.name} is not the one that made this Pod"))
        return found

    async def _is_of(self, pod: object, current: _Current) -> bool:
        """Whether a Pod of the selection is of the current revision and of the same owner."""
        owner = revisions.controller(pod)
        if owner is None or not current.number:
            return owner == current.owner
        if owner.kind != "ReplicaSet":
            return False
        found = await self._owner(owner)
        return revisions.controller(found) == current.owner and revisions.annotation(found, revisions.DEPLOYMENT_REVISION) == current.number

    # ---- handing over -------------------------------------------------------------------------------------------------------------

    async def _hand_over(self, to: str, revision: str) -> None:
        """Remember it in the Lease, then resign; no resignation that is not remembered."""
        await self._rate_limiter.acquire(2)  # both at once: between them the next renewal would make another version
        lease = await self._ask("get", self._lease)
        barred = is_barred(revisions.annotation(lease, YIELDED_ANNOTATION), revision, self._now_us)
        if barred or _holder(lease) != self._candidate.identity:
            return
        note = json.dumps({"to": to, "revision": revision, "at": format_time(self._now_us)})
        metadata = {"resourceVersion": revisions.version(lease), "annotations": {YIELDED_ANNOTATION: note}}
        await self._ask("patch", self._lease, {"metadata": metadata})
        try:
            self._runner.resign(None, to)
        except OutOfSeason:  # it has ended by itself meanwhile
            return
        log_move(_log, logging.INFO, "yielding to the current revision", to=to, revision=revision)

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
        """What is received. Raises _CannotTell. The rate limiter has allowed it."""
        self._asked += 1
        limit_seconds = self._candidate.request_limit_seconds
        found = await self._client.request(verb, what, body, query=query, limit_seconds=limit_seconds)
        match found:
            case Received():
                self._now_us = _date_us(found.answer)
                return found.object
            case Denied() | Busy():
                raise _CannotTell(found)
        raise _CannotTell(Unknown(f"{what.asked(verb)}: {found.message}"))


def _holder(lease: JSON) -> object:
    spec = lease.get("spec")
    return spec.get("holderIdentity") if isinstance(spec, dict) else None


def _date_us(answer: Answer) -> int:
    """The API server's clock, by its own word (RFC 9110 section 6.6.1): no local clock is compared with its times."""
    try:
        return round(parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC).timestamp()) * _US
    except (ValueError, TypeError, OverflowError):
        raise _CannotTell(Unknown("an answer without a Date: how long a Pod has been there cannot be told")) from None
