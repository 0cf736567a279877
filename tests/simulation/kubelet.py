"""One Pod as the API server has it, and the kubelet that reports on it: late, or not at all, and never of the future."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from sidecar.election.record import JSON
from tests.simulation.loop import Agenda

LAG_NS = 300_000_000
"""A report is on its way for up to so long."""


class Kubelet:
    """What runs in the Pod that has the name now, and what the API server knows of it."""

    def __init__(self, agenda: Agenda, name: str, seed: str, ended: set[str]) -> None:
        self._agenda, self.name, self._ended = agenda, name.lower(), ended
        self.random = random.Random(seed)
        self.native = self.random.random() < 0.7
        """The sidecar is a native one: it stands in initContainerStatuses."""
        self.object: JSON | None = None
        self.past: deque[JSON | None] = deque([None], maxlen=8)
        """States as a watch that lags shows them, the newest last."""
        self.streams: list[Callable[[JSON | None, JSON | None], None]] = []
        """Told the former state and the new one."""
        self.uid = ""
        self.silent_until_ns = self.slow_ns = 0
        self._runs = {"app": False, "leader": False}
        self._over = False
        self._seen_generation = 1
        self._last_ns = 0

    # ---- what happens on the node -------------------------------------------------------------------------------------------------

    def started(self, uid: str) -> None:
        """Both containers run: of a new Pod, or restarted in the one that there is."""
        if uid != self.uid:
            self._put(None)
            self.uid, self._over, self._seen_generation, self.slow_ns, self._last_ns = uid, False, 1, 0, 0
            self._put(self._object("Pending", 0))
        self._runs = {"app": True, "leader": True}
        self.report()

    def stopped(self, *containers: str) -> None:
        """These have ended; the others run on. These may be restarted, unless the kubelet knows that the Pod is to end."""
        self._runs |= dict.fromkeys(containers, False)
        if self._seen_generation > 1 and not any(self._runs.values()):
            self.over()
        else:
            self.report()

    def over(self) -> None:
        """Every process of the Pod has ended, and none will be started: this is the truth that a takeover is judged by."""
        self._ended.add(self.uid)
        self._runs, self._over = {"app": False, "leader": False}, True
        self.report()

    def report(self) -> None:
        """The state of this moment, which the API server hears of later; reports keep their order."""
        if self._agenda.now_ns < self.silent_until_ns:
            self._agenda.at(self.silent_until_ns, None, self.report)
            return
        lag_ns = self.random.randrange(LAG_NS) + (self.random.randrange(self.slow_ns) if self.slow_ns else 0)
        self._last_ns = max(self._last_ns, self._agenda.now_ns + lag_ns)
        phase = self.random.choice(("Succeeded", "Failed")) if self._over else "Running"
        self._agenda.at(self._last_ns, None, self._arrive, self.uid, self._status(phase, self._seen_generation))

    def sees_deletion(self) -> bool:
        """It hears that the Pod is to end, if it hears anything."""
        if self._agenda.now_ns < self.silent_until_ns or self.object is None:
            return False
        self._seen_generation = self.object["metadata"]["generation"]
        return True

    @property
    def is_over(self) -> bool:
        """Nothing of this Pod will be started again: another one takes its place."""
        return self._over

    # ---- what the API server knows ------------------------------------------------------------------------------------------------

    def delete(self) -> None:
        """A deletion with grace: a mark, and a generation."""
        if self.object is not None and "deletionTimestamp" not in self.object["metadata"]:
            metadata = self.object["metadata"]
            marked = {"deletionTimestamp": "2026-11-23T08:00:00Z", "generation": metadata["generation"] + 1}
            self._put(self.object | {"metadata": metadata | marked})

    def remove(self) -> None:
        """The object is gone, whatever runs."""
        self._put(None)

    def collect(self) -> None:
        """The control plane marks it failed by itself, its node unreachable, and removes it."""
        if self.object is not None:
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
            self._put(self.object | {"status": self.object["status"] | {"phase": "Failed", "conditions": [condition]}})
            self._agenda.at(self._agenda.now_ns + self.random.randrange(LAG_NS), None, self._removed, self.uid)

    def remove_later(self) -> None:
        """Removed when the kubelet's last report is in."""
        self._agenda.at(self._last_ns + self.random.randrange(LAG_NS), None, self._removed, self.uid)

    def _removed(self, uid: str) -> None:
        if self.object is not None and self.object["metadata"]["uid"] == uid:
            self._put(None)

    def _arrive(self, uid: str, status: JSON) -> None:
        if self.object is not None and self.object["metadata"]["uid"] == uid:
            kept = {key: value for key, value in self.object["status"].items() if key == "conditions"}
            if kept:
                status = status | kept | {"phase": "Failed"}
            self._put(self.object | {"status": status})

    def _put(self, state: JSON | None) -> None:
        before, self.object = self.object, state
        if before is None and state is None:
            return
        self.past.append(state)
        for stream in list(self.streams):
            stream(before, state)

    def _object(self, phase: str, observed: int) -> JSON:
        app: JSON = {"name": "app"}
        leader: JSON = {"name": "leader"}
        spec: JSON = {"containers": [app, leader]}
        if self.native:
            spec = {"containers": [app], "initContainers": [leader | {"restartPolicy": "Always"}]}
        metadata = {"name": self.name, "uid": self.uid, "generation": 1}
        return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase, "observedGeneration": observed}}

    def _status(self, phase: str, observed: int) -> JSON:
        states: dict[str, Any] = {
            name: {"name": name, "state": {"running": {}} if runs else {"terminated": {"exitCode": 0}}} for name, runs in self._runs.items()
        }
        status: JSON = {"phase": phase, "observedGeneration": observed}
        if self.native:
            return status | {"containerStatuses": [states["app"]], "initContainerStatuses": [states["leader"]]}
        return status | {"containerStatuses": [states["app"], states["leader"]]}
