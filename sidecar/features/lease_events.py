"""Events on the Lease (events.k8s.io/v1): became leader, stopped leading and why, resigned. For people; nothing waits for them."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from sidecar.election.machine import Election
from sidecar.election.record import JSON, format_time
from sidecar.election.store import Denied
from sidecar.election.view import State
from sidecar.escaping import cut_bytes, plain
from sidecar.features.retry import Asking, Clash, Refused
from sidecar.kubernetes import resource
from sidecar.kubernetes.resource import Resource

CONTROLLER: Final = "leader-sidecar"
WHAT: Final = "events"

QUEUE: Final = 16
"""Events that wait for an API server that is away; the newest are kept."""
_MAX_BASE_CHARS: Final = 200
"""Of the Lease's name in an Event's, which has 253 at most (RFC 1123)."""
_MAX_INSTANCE_CHARS: Final = 128
"""A Pod's name is ASCII: its characters are bytes, which the API server counts."""
_MAX_NOTE_BYTES: Final = 1024
"""Kubernetes API reference, "Event v1 events.k8s.io": 1 kB. The API server counts bytes and refuses an Event whose note has more."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One Event, before it is written."""

    name: str
    time_us: int
    type: str
    """Normal, or Warning where nobody asked for it."""
    reason: str
    action: str
    note: str


class Recorder:
    """Writes what it hears of one election. Dropped: what the API server refuses, and the oldest where more than QUEUE wait."""

    def __init__(self, lease: Resource, process: str, asking: Asking) -> None:
        self._lease = lease
        self._pod = asking.pod
        self._process = process
        self._asking = asking
        self._queue: deque[Happening] = deque(maxlen=QUEUE)
        self._heard = asyncio.Event()
        self._count = 0
        self._pauses = False

    def hear(self, before: Election, after: Election) -> None:
        """The election has moved from one state to another; returns at once."""
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
        """Whether something is to be written soon: not while a repeat waits for its turn."""
        return bool(self._queue) and not self._pauses

    async def run(self) -> None:
        """Write until cancelled."""
        failures = 0
        while True:
            while not self._queue:
                self._heard.clear()
                await self._heard.wait()
            happening = self._queue[0]
            refused = await self._write(happening)
            if refused is None or isinstance(refused, Denied):  # refused once is refused for good: the next one is tried anew
                failures = 0
                if self._queue and self._queue[0] is happening:
                    self._queue.popleft()
                continue
            failures += 1
            self._pauses = True
            await self._asking.pause(failures, refused)
            self._pauses = False

    def _put(self, kind: str, reason: str, action: str, note: str) -> None:
        self._count += 1
        base = self._lease.name[:_MAX_BASE_CHARS].rstrip("-.")
        name = f"{base}.{self._process}.{self._count}"  # the same again in a repeat: it is written once
        self._queue.append(
            Happening(name, self._asking.clock.wall_us(), kind, reason, action, cut_bytes(plain(note, len(note)), _MAX_NOTE_BYTES))
        )
        self._heard.set()

    async def _write(self, happening: Happening) -> Refused | None:
        """One Event; why it was not written."""
        found = await self._asking.ask("get", self._lease)
        # By its uid `kubectl describe` finds the Events; where the Lease cannot be read they go without.
        metadata = found.get("metadata") if isinstance(found, dict) else None
        uid = metadata.get("uid") if isinstance(metadata, dict) else None
        refused: Refused | None = None
        if isinstance(found, (dict, Denied)):
            made = await self._asking.ask("create", resource.events(self._lease.namespace), self._event(happening, uid))
            refused = made if not isinstance(made, (dict, Clash)) else None
        else:
            refused = found
        self._asking.status.note(WHAT, refused, passes=False)
        return refused

    def _event(self, happening: Happening, lease_uid: object) -> JSON:
        regarding = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": self._lease.namespace, "name": self._lease.name}
        related = {"apiVersion": "v1", "kind": "Pod", "namespace": self._pod.namespace, "name": self._pod.name, "uid": self._pod.uid}
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": happening.name, "namespace": self._lease.namespace},
            "eventTime": format_time(happening.time_us),
            "type": happening.type,
            "reason": happening.reason,
            "action": happening.action,
            "note": happening.note,
            "regarding": regarding | ({"uid": lease_uid} if isinstance(lease_uid, str) else {}),
            "related": related,
            "reportingController": CONTROLLER,
            "reportingInstance": self._pod.name[:_MAX_INSTANCE_CHARS],
        }
