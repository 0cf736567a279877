"""Events on the Lease (events.k8s.io/v1): became leader, stopped leading and why, resigned. For people: no part waits for an Event."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from sidecar.election.machine import Election
from sidecar.election.record import JSON, format_time
from sidecar.election.store import Denied
from sidecar.election.view import State
from sidecar.escaping import cut_bytes, plain
from sidecar.features.retry import DeniedByConflict, Failure, Retry
from sidecar.kubernetes import resource
from sidecar.kubernetes.resource import Resource
from sidecar.runtime.health_lines import HealthLine

CONTROLLER: Final = "leader-sidecar"
"""The Events' reportingController."""

QUEUE: Final = 16
"""The most Events that wait while the API server does not answer; the newest are kept."""
_MAX_BASE_CHARS: Final = 200
"""The most characters of the Lease's name within the Event's, which has 253 at most (RFC 1123)."""
_MAX_INSTANCE_CHARS: Final = 128
"""A Pod's name is ASCII: its characters are bytes, which the API server counts."""
_MAX_NOTE_BYTES: Final = 1024
"""Kubernetes API reference, "Event v1 events.k8s.io": 1 kB. The API server counts bytes and refuses an Event whose note has more."""


@dataclass(frozen=True, slots=True)
class LeaseEvent:
    """One Event, before it is written."""

    name: str
    time_us: int
    type: str
    """Normal, or Warning where the leadership was lost unasked."""
    reason: str
    action: str
    note: str


class EventRecorder:
    """Writes an Event for each move of one election into or out of leading.

    An Event that the API server denies is dropped, and so is the oldest where more than QUEUE wait.
    """

    def __init__(self, lease: Resource, process: str, retry: Retry) -> None:
        self._lease = lease
        self._pod = retry.pod
        self._process = process
        self._retry = retry
        self._queue: deque[LeaseEvent] = deque(maxlen=QUEUE)
        self._wanted = asyncio.Event()
        self._count = 0
        self._pauses = False

    def on_transition(self, before: Election, after: Election) -> None:
        """Queue an Event for a move from one state to another; returns at once."""
        who = self._pod.name
        if after.state is State.LEADING and after.held is not None:
            self._put("Normal", "BecameLeader", "Acquire", f"{who} became leader with fencing token {after.held.token}: {after.why}")
        elif before.state is State.LEADING and after.state is State.STEPPING_DOWN and after.has_resigned():
            whom = f", in favour of {after.successor}" if after.successor else ""
            self._put("Normal", "Resigned", "StepDown", f"{who} resigned{whom}: {after.why}")
        elif before.state is State.LEADING:
            asked = after.state is State.STEPPING_DOWN
            action = "StepDown" if asked else "Lose"
            self._put("Normal" if asked else "Warning", "StoppedLeading", action, f"{who} stopped leading: {after.why}")

    def is_pending(self) -> bool:
        """Whether an Event is about to be written: not while a repeat waits for its turn."""
        return bool(self._queue) and not self._pauses

    async def run(self) -> None:
        """Write the queued Events, until cancelled."""
        failures = 0
        while True:
            while not self._queue:
                self._wanted.clear()
                await self._wanted.wait()
            event = self._queue[0]
            refused = await self._write(event)
            if refused is None or isinstance(refused, Denied):  # an Event that is denied once is dropped
                failures = 0
                if self._queue and self._queue[0] is event:
                    self._queue.popleft()
                continue
            failures += 1
            self._pauses = True
            await self._retry.pause(failures, refused)
            self._pauses = False

    def _put(self, kind: str, reason: str, action: str, note: str) -> None:
        self._count += 1
        base = self._lease.name[:_MAX_BASE_CHARS].rstrip("-.")
        name = f"{base}.{self._process}.{self._count}"  # a repeat has the same name: the Event is written once
        self._queue.append(
            LeaseEvent(name, self._retry.clock.wall_us(), kind, reason, action, cut_bytes(plain(note, len(note)), _MAX_NOTE_BYTES))
        )
        self._wanted.set()

    async def _write(self, event: LeaseEvent) -> Failure | None:
        """Write one Event. Returns why it failed; None where it was written."""
        found = await self._retry.request("get", self._lease)
        # `kubectl describe` finds Events by the Lease's uid. Where the Lease cannot be read, the Event is written without one.
        metadata = found.get("metadata") if isinstance(found, dict) else None
        uid = metadata.get("uid") if isinstance(metadata, dict) else None
        refused: Failure | None = None
        if isinstance(found, (dict, Denied)):
            made = await self._retry.request("create", resource.events(self._lease.namespace), self._event(event, uid))
            refused = made if not isinstance(made, (dict, DeniedByConflict)) else None
        else:
            refused = found
        self._retry.status.note(HealthLine.EVENTS, refused, passes=False)
        return refused

    def _event(self, event: LeaseEvent, lease_uid: object) -> JSON:
        regarding = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": self._lease.namespace, "name": self._lease.name}
        related = {"apiVersion": "v1", "kind": "Pod", "namespace": self._pod.namespace, "name": self._pod.name, "uid": self._pod.uid}
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": event.name, "namespace": self._lease.namespace},
            "eventTime": format_time(event.time_us),
            "type": event.type,
            "reason": event.reason,
            "action": event.action,
            "note": event.note,
            "regarding": regarding | ({"uid": lease_uid} if isinstance(lease_uid, str) else {}),
            "related": related,
            "reportingController": CONTROLLER,
            "reportingInstance": self._pod.name[:_MAX_INSTANCE_CHARS],
        }
