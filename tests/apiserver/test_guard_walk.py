"""The guard refuses no honest write: random schedules of the real election (tests/support/walk.py) on a real Lease under the policy.

Time is virtual and the candidates are the pure state machine; each write is a request with the token of its Pod, and is stored. On top of
the walk's own steps others meddle with the Lease as they may: client-go programs, administrators, tools that prune, a restore of etcd.
"""

import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from sidecar.election.record import JSON, PLACEHOLDER, STANDBY_ANNOTATION, TERM_ANNOTATION, HolderPod, parse, standby_patch
from sidecar.election.requests import Kind, Request
from sidecar.election.store import Conflict, Done, Missing, Outcome
from sidecar.features.rollout_handover import YIELDED_ANNOTATION
from sidecar.runtime.standby import wished
from tests.apiserver.guarded import Guarded
from tests.apiserver.kustomized import MERGE, BoundPod
from tests.support.fake_lease import Api
from tests.support.walk import perform, steps
from tests.support.world import Actor, Flight, World

SEEDS = int(os.environ.get("GUARD_WALKS", "10"))
"""How many schedules; a run by hand sets more."""
STEPS = 250
JUNK = (
    "junk",
    "{}",
    '{"holder":"x","token":5,"process":"","place":"","released":false}',
    '{"holder":"a","holder":"b"}',
    '["é\\"x" , "b"]',
)


@dataclass
class Guard(Api):
    """The Lease of a guarded namespace: candidates write it with their tokens, all else is the administrator's."""

    guarded: Guarded | None = None
    pods: dict[str, BoundPod] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    @property
    def ground(self) -> Guarded:
        """Where it stands."""
        assert self.guarded is not None
        return self.guarded

    def put(self, lease: JSON) -> Done:
        """The administrator's."""
        kept = {key: value for key, value in lease.get("metadata", {}).items() if key in ("annotations", "labels")}
        kept |= {"name": "web"} | ({"resourceVersion": str(self.version)} if self.lease is not None else {})
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": kept, "spec": lease.get("spec", {})}
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.ground.namespace}/leases"
        method, path = ("PUT", f"{path}/web") if self.lease is not None else ("POST", path)
        status, found = self.ground.server.request(method, path, body)
        assert status in (200, 201), found
        return self._stands(found)

    def delete(self) -> None:
        """The administrator's."""
        self.ground.server.delete_lease(self.ground.namespace)
        self.lease = None

    def perform(self, request: Request) -> Outcome:
        """A candidate's."""
        if request.kind is Kind.READ:
            return Done(self.record) if self.lease is not None else Missing()
        assert request.record.term is not None
        return self.write(request.record.term.process[0], request.kind, request.to_json())

    def write(self, name: str, kind: str, body: JSON) -> Outcome:
        """With the token of that candidate's Pod."""
        pod = self.pods[name]
        if kind == Kind.PLACEHOLDER:
            status, found = self._ask(
                "POST", pod.leases(), body | {"metadata": body["metadata"] | {"name": "web"}}, "application/json", pod
            )
        else:
            status, found = self._ask("PATCH", pod.leases("web"), body, MERGE, pod)
        if status == 409:
            return Conflict()
        if status == 404:
            return Missing()
        self.written[kind] += 1
        if status not in (200, 201) and not self._claims_a_smaller_token(kind, body):
            self.refused.append(f"{kind} over {json.dumps(self.lease)}\n{json.dumps(body)}\n{status} {found.get('message')}")
        if status not in (200, 201):
            return Conflict()
        return self._stands(found)

    def _claims_a_smaller_token(self, kind: str, body: JSON) -> bool:
        """What alone is refused: deleted after a restore, the Lease keeps a larger token than the term has that is claimed back."""
        wanted, kept = parse(body).token, self.record.term.token if self.lease is not None and self.record.term is not None else None
        return kind == Kind.RENEW and self.record.holder == PLACEHOLDER and (wanted or 0) < (kept or 0)

    def _ask(self, method: str, path: str, body: JSON, kind: str, pod: BoundPod) -> tuple[int, JSON]:
        return self.ground.server.request(method, path, body, kind, token=pod.token)

    def _stands(self, lease: JSON) -> Done:
        self.lease, self.version = lease, int(lease["metadata"]["resourceVersion"])
        self.past.append(parse(lease))
        return Done(self.record)


class Meddled(World):
    """A world in which others meddle beyond what S1 promises anything for: only refusals are looked for."""

    def __init__(self, guarded: Guarded, pods: dict[str, BoundPod]) -> None:
        def each(name: str) -> JSON:
            return {"identity": pods[name].identity, "pod": HolderPod(pods[name].name, pods[name].uid), "place": f"boot:{name}"}

        self.guard = Guard(guarded=guarded, pods=pods)
        if (lease := guarded.server.lease(guarded.namespace)) is not None:
            self.guard._stands(lease)
        super().__init__("ABC", each=each)
        self.api = self.guard
        self.guard.wipe()

    def check(self) -> None:
        """S1 is looked at elsewhere."""

    def absorbed(self, actor: Actor, before: object) -> None:
        """Likewise S8."""

    def will_write(self, flight: Flight) -> None:
        """Likewise S5."""


def _stands_by(world: Meddled, actor: Actor, rng: random.Random) -> None:
    """As sidecar/runtime/standby.py does; at its end it strikes itself off."""
    wish, record = wished(actor.election), actor.election.record
    if wish is not None and record is not None:
        world.guard.write(actor.name, "stand by", standby_patch(wish, record.version))
    elif record is not None and actor.me.identity in record.standbys and rng.random() < 0.3:
        world.guard.write(actor.name, "stand by", standby_patch(record.standbys_without(actor.me.identity), record.version))


def _yields(world: Meddled, actor: Actor, rng: random.Random) -> None:
    """As sidecar/features/rollout_handover.py does: what it has read says that it holds."""
    lease = world.guard.lease
    if lease is None or world.guard.record.holder != actor.me.identity or world.guard.record.own_term is None or not actor.leads:
        return
    note = json.dumps(
        {"to": "web-2", "revision": f"Deployment/{actor.me.identity[-36:]}/{rng.randrange(99)}", "at": "2026-11-23T08:00:00.000000Z"}
    )
    body = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"], "annotations": {YIELDED_ANNOTATION: note}}}
    world.guard.write(actor.name, "yield", body)


def _client_go(world: Meddled, actor: Actor, rng: random.Random) -> None:
    """A client-go program takes the Lease, or releases it, and leaves every annotation as it is."""
    del actor
    if world.guard.lease is None:
        return
    transitions = (world.guard.record.transitions or 0) + 1
    renewed = f"2026-11-23T08:00:00.{rng.randrange(10**6):06d}Z"
    holder, seconds = rng.choice((("client-go_1", 15), ("", 1)))
    world.guard.edit(
        holderIdentity=holder, leaseDurationSeconds=seconds, leaseTransitions=transitions, renewTime=renewed, acquireTime=renewed
    )


def _prunes(world: Meddled, actor: Actor, rng: random.Random) -> None:
    """A tool takes annotations away, or an administrator writes junk into them; not while a term runs that it would forge."""
    del actor
    if world.guard.lease is None:
        return
    key = rng.choice((TERM_ANNOTATION, STANDBY_ANNOTATION))
    world.guard.edit(annotations={key: rng.choice((None, *JUNK))})


def _empties(world: Meddled, actor: Actor, rng: random.Random) -> None:
    """An administrator empties the Lease, or one of its fields."""
    del actor
    if world.guard.lease is None:
        return
    fields = ("holderIdentity", "acquireTime", "leaseDurationSeconds")
    world.guard.edit(**dict.fromkeys(fields if rng.random() < 0.5 else (rng.choice(fields),)))


def _remembers(world: Meddled, actor: Actor, rng: random.Random) -> None:
    """Etcd was restored: a candidate remembers a larger token than any that stands there."""
    del world
    actor.election = replace(actor.election, last_token=(actor.election.last_token or 0) + rng.randrange(1, 2**30))


MEDDLING = (_stands_by, _stands_by, _stands_by, _yields, _yields, _client_go, _prunes, _empties, _remembers)


def walked(world: Meddled, seed: int) -> Guard:
    """One schedule, with somebody else's hand in every seventh step."""
    rng = random.Random(seed)
    schedule = steps(seed, STEPS, 3)
    for step in schedule:
        perform(world, [step])
        if rng.random() < 0.15:
            actor = rng.choice(world.actors)
            rng.choice(MEDDLING)(world, actor, rng)
    return world.guard


@pytest.fixture
def pods(guarded: Guarded) -> dict[str, BoundPod]:
    """Three, by their candidates' names."""
    return {name: guarded.pod(f"web-{number}") for number, name in enumerate("ABC")}


def test_no_honest_write_is_refused(guarded: Guarded, pods: dict[str, BoundPod]) -> None:
    """Whatever schedule of faults, of each kind of write there is."""
    written: Counter[str] = Counter()
    for seed in range(SEEDS):
        guard = walked(Meddled(guarded, pods), seed)
        assert not guard.refused, f"seed {seed}: {guard.refused[0]}"
        written += guard.written
    print(f"{sum(written.values())} honest writes, none refused: {dict(written)}")
    assert sum(written.values()) > 30 * SEEDS
    assert {*Kind} - {Kind.READ, Kind.RESUME} <= {*written}
