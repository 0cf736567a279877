"""One elector with its own Pod, on virtual time: a Lease and a Pod in memory, and a journal of who was told what in which order."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sidecar.election.record import JSON
from sidecar.election.requests import Candidate
from sidecar.election.store import Outcome, Unknown
from sidecar.features.pod_status import PodStatus
from sidecar.kubernetes.client import Client
from sidecar.kubernetes.responses import Answer
from sidecar.runtime.identity import Pod
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock

WEB_0 = Pod("shop", "web-0", "u0")
ALL: tuple[str, ...] = ("label", "condition", "events")


def now_seconds() -> float:
    """Virtual time."""
    return asyncio.get_running_loop().time()


@dataclass
class Asked:
    """A request as it came."""

    at_seconds: float
    method: str
    path: str
    body: JSON


@dataclass
class Cluster(Client):
    """The API server for everything but the Lease's election: takes the place of `Client`."""

    journal: list[str]
    pod: JSON | None = field(default_factory=lambda: {"metadata": {"name": "web-0", "uid": "u0", "labels": {"app": "web"}}, "status": {}})
    events: dict[str, JSON] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    denied: tuple[str, ...] = ()
    """Ends of paths that no right is there for."""
    away: bool = False
    way_seconds: float = 0.005
    bug: bool = False
    ignores: bool = False
    """As an admission webhook would have it that takes every patch back."""
    busy_seconds: float | None = None
    """Every request is turned away, and asked to come again after so long."""
    mute: bool = False
    """What lands is not answered."""
    commits: Callable[[], None] = lambda: None
    """Called just before each commit."""

    @property
    def trouble(self) -> str:
        """Nothing is wrong with the credentials."""
        return ""

    async def exchange(
        self, method: str, path: str, body: JSON | None, *, content_type: str, limit_seconds: float | None
    ) -> Answer | Unknown:
        """As `Client.exchange`."""
        assert limit_seconds is not None
        self.asked.append(Asked(now_seconds(), method, path, body or {}))
        if self.bug:
            raise ZeroDivisionError
        if self.away or self.way_seconds > limit_seconds:
            await asyncio.sleep(limit_seconds)
            return Unknown(f"no answer within {limit_seconds:g} s")
        await asyncio.sleep(self.way_seconds)
        if self.busy_seconds is not None:
            return Answer(429, {"Retry-After": f"{self.busy_seconds:g}"}, b"")
        if path.endswith(self.denied):
            return _answer(403, {"kind": "Status", "message": "forbidden"})
        if "/leases/" in path:
            return _answer(200, {"metadata": {"uid": "lease-uid"}})
        if method == "POST":
            return self._create(body or {})
        assert content_type == "application/strategic-merge-patch+json"
        done = self._patch(body or {})
        return Unknown("the connection broke") if self.mute else done

    def _create(self, event: JSON) -> Answer:
        name = event["metadata"]["name"]
        if name in self.events:
            return _answer(409, {"message": "already exists"})
        self.events[name] = event
        self.journal.append(f"event {event['reason']}")
        return _answer(201, event)

    def _patch(self, body: JSON) -> Answer:
        if self.pod is None:
            return _answer(404, {"message": "not found"})
        metadata = self.pod["metadata"]
        if body["metadata"]["uid"] != metadata["uid"]:
            return _answer(422, {"message": 'Pod "web-0" is invalid: metadata.uid: field is immutable'})  # kube-apiserver v1.34
        if self.ignores:
            return _answer(200, self.pod)
        self.commits()
        labels = body["metadata"].get("labels", {})
        if labels:
            metadata["labels"] |= labels
            self.journal.append(f"label {labels['leader-sidecar/role']}")
        for condition in body.get("status", {}).get("conditions", []):
            others = [entry for entry in self.pod["status"].get("conditions", []) if entry["type"] != condition["type"]]
            self.pod["status"]["conditions"] = [*others, condition]
            self.journal.append(f"condition {condition['status']}")
        return _answer(200, self.pod)

    @property
    def label(self) -> str | None:
        """The Pod's role."""
        assert self.pod is not None
        return dict(self.pod["metadata"]["labels"]).get("leader-sidecar/role")

    @property
    def condition(self) -> JSON:
        """The Pod's condition; {} for none."""
        assert self.pod is not None
        return next((dict(entry) for entry in self.pod["status"].get("conditions", [])), {})


def _answer(status: int, body: Any) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


class JournaledLease(MemoryLease):
    """Says who holds it, each time that is another."""

    def __init__(self, journal: list[str]) -> None:
        super().__init__()
        self._journal = journal

    def put(self, lease: JSON) -> None:
        """As it is."""
        before = self.record.holder
        super().put(lease)
        if self.record.holder != before:
            self._journal.append(f"lease {self.record.holder or 'released'}")


class Way(MemoryStore):
    """To the Lease; where it is cut, nothing is answered."""

    cut = False
    sent: list[tuple[float, JSON]]

    async def patch(self, patch: JSON) -> Outcome:
        """Noted, then as ever."""
        self.sent.append((now_seconds(), patch))
        if self.cut:
            return Unknown("the connection broke")
        return await super().patch(patch)


@dataclass
class Stage:
    """What a test plays on."""

    journal: list[str]
    cluster: Cluster
    lease: JournaledLease
    store: Way
    runner: Runner
    own: PodStatus
    run: "asyncio.Task[None]"

    @property
    def leads(self) -> bool:
        """What it answers."""
        return self.runner.leadership.read().is_leader

    def other_leads(self, identity: str = "web-1_u1") -> None:
        """Somebody else takes the Lease, for an hour."""
        self.lease.put({"spec": {"holderIdentity": identity, "leaseDurationSeconds": 3600, "renewTime": "2026-11-23T08:00:00.000000Z"}})

    def releases(self) -> list[float]:
        """When a release was sent."""
        return [at for at, patch in self.store.sent if not patch.get("spec", {}).get("holderIdentity", "x")]


@asynccontextmanager
async def stage(
    *parts: str, native_sidecar: bool = True, seen: Callable[[JSON], None] = lambda _: None, **cluster: Any
) -> AsyncIterator[Stage]:
    """An elector and its own Pod with those parts on (default: all), running."""
    on = parts or ALL
    journal: list[str] = []
    api, lease, clock = Cluster(journal, **cluster), JournaledLease(journal), VirtualClock()
    store = Way(lease)
    store.sent = []
    me = Candidate("web-0_u0", "process", "place", 15, 10, 2, 10, native_sidecar=native_sidecar)
    runner = NoStandBy(store, clock, Leadership(clock, Names(me.identity, "web", "shop", "boot")), me, random.Random(1))
    wanted = {part: part in on for part in ALL}
    own = PodStatus(WEB_0, api, runner, **wanted, seen=seen)
    following = asyncio.create_task(own.run())
    run = asyncio.create_task(runner.run())
    try:
        yield Stage(journal, api, lease, store, runner, own, run)
    finally:
        run.cancel()
        following.cancel()
        await asyncio.gather(run, following, return_exceptions=True)
