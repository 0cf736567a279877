"""RolloutHandover on virtual time: real runners on one Lease in memory, and objects as a cluster would have them."""

import asyncio
import json
import logging
from collections.abc import Coroutine
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from sidecar.election.requests import Candidate
from sidecar.features.rollout_handover import AGAIN_SECONDS, YIELDED_ANNOTATION, RolloutHandover, is_barred
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.identity import Pod
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.rate_limiter import BURST
from sidecar.runtime.runner import Runner
from tests.simulation.cluster import Cluster
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.workloads import JSON, NOW, ago, controller_revision, daemon_set, deployment, pod, replica_set, stateful_set

OLD, NEW = ("ReplicaSet", "web-old", "web-old"), ("ReplicaSet", "web-new", "web-new")


class Scene:
    """A cluster, and the sidecars of its Pods."""

    def __init__(self) -> None:
        self.lease = MemoryLease()
        self.cluster = Cluster(self.lease)
        self.runners: dict[str, Runner] = {}
        self.tasks: dict[str, list[asyncio.Task[None]]] = {}

    def rollout(self, *, to: int = 2) -> None:
        """A Deployment, its ReplicaSets old (revision 1) and new (2); `to` 3 undoes it: the old one is renumbered."""
        self.cluster.put(deployment(revision=to), replica_set("web-old", 3 if to == 3 else 1), replica_set("web-new", 2))

    def pod(self, name: str, owner: tuple[str, str, str], labels: JSON | None = None, **changes: Any) -> None:
        """A Pod as its kubelet reports it."""
        self.cluster.put(pod(name, owner, labels or {"pod-template-hash": owner[1].rpartition("-")[2]}, **changes))

    def start(self, name: str, *, yields: bool = True) -> Runner:
        """The sidecar of that Pod."""
        clock = VirtualClock()
        me = Candidate(f"{name}_uid-{name}", f"{name}-{len(self.tasks)}", f"place-{name}", 15, 10, 2, 10, native_sidecar=True)
        runner = NoStandBy(MemoryStore(self.lease), clock, Leadership(clock, Names(me.identity, "web", "shop", name)), me, Random(name))
        self.runners[name] = runner
        self.tasks[name] = [asyncio.create_task(runner.run())]
        if yields:
            yielding = RolloutHandover(runner, self.cluster, Pod("shop", name, f"uid-{name}"))
            self.tasks[name].append(asyncio.create_task(yielding.run()))
        return runner

    async def kill(self, name: str) -> None:
        """Its processes end with no word."""
        for task in self.tasks[name]:
            task.cancel()
        await asyncio.gather(*self.tasks[name], return_exceptions=True)

    async def led_by(self, name: str, *others: str) -> None:
        """That one leads, and the others follow."""
        self.start(name)
        await asyncio.sleep(1)
        assert self.leader() == name
        for other in others:
            self.start(other)

    def leader(self) -> str:
        """Who leads, alone; "" for nobody."""
        leaders = [name for name, runner in self.runners.items() if runner.leadership.read().is_leader]
        assert len(leaders) <= 1
        return "".join(leaders)

    async def until(self, leader: str, within_seconds: float) -> float:
        """How long it took."""
        began = asyncio.get_running_loop().time()
        while self.leader() != leader:
            await asyncio.sleep(0.05)
            assert asyncio.get_running_loop().time() - began < within_seconds, f"{self.leader()} leads: {self.problems()}"
        return asyncio.get_running_loop().time() - began

    async def stays(self, leader: str, seconds: float) -> None:
        """No transition."""
        for _ in range(round(seconds)):
            await asyncio.sleep(1)
            assert self.leader() == leader

    def problems(self) -> dict[str, str]:
        """What /readyz?verbose of any says."""
        return {name: problem for name, runner in self.runners.items() for problem in runner.status.problems.values()}

    async def end(self) -> None:
        """Everything."""
        for name in self.tasks:
            await self.kill(name)


def play(scenario: "Coroutine[Any, Any, None]") -> None:
    """On virtual time."""
    run_virtually(scenario)


async def rolled(**candidate: Any) -> Scene:
    """An old leader, and a Pod of the new revision that waits."""
    scene = Scene()
    scene.rollout()
    scene.pod("web-old-a", OLD)
    scene.pod("web-new-a", NEW, **candidate)
    await scene.led_by("web-old-a", "web-new-a")
    return scene


def test_a_leader_of_an_old_revision_yields_to_the_current_one_and_that_one_stays() -> None:
    """Within a look or two; no deadline was given, so it is released at once, and the named one is next within milliseconds."""

    async def main() -> None:
        scene = await rolled()
        assert await scene.until("web-new-a", 25) > 5
        await scene.stays("web-new-a", 3600)
        assert scene.lease.record.transitions == 1
        note = json.loads((scene.lease.lease or {})["metadata"]["annotations"][YIELDED_ANNOTATION])
        assert (note["to"], note["revision"]) == ("web-new-a", "Deployment/d1/2")
        assert scene.cluster.verbs()["patch", "leases"] == 1, "no renewal came between what was read and what was written on it"
        times = [time for time, _, _ in scene.cluster.asked]
        assert all(last + 1 - first <= BURST + (times[last] - times[first]) / 2 for last in range(len(times)) for first in range(last))
        assert scene.problems() == {}
        await scene.end()

    play(main())


def test_an_undone_rollout_is_followed_back() -> None:
    """The ReplicaSet that was the older one is the current one now: by its number, not by its age or its hash."""

    async def main() -> None:
        scene = await rolled()
        await scene.until("web-new-a", 25)
        scene.rollout(to=3)
        await scene.until("web-old-a", 60)
        await scene.stays("web-old-a", 900)
        await scene.end()

    play(main())


def test_a_leader_of_the_current_revision_does_not_yield_to_an_older_one() -> None:
    async def main() -> None:
        scene = Scene()
        scene.rollout()
        scene.pod("web-old-a", OLD)
        scene.pod("web-new-a", NEW)
        await scene.led_by("web-new-a", "web-old-a")
        await scene.stays("web-new-a", 900)
        assert ("list", "pods") not in scene.cluster.verbs()
        await scene.end()

    play(main())


@pytest.mark.parametrize(
    "changes",
    [
        {"deletionTimestamp": ago(0)},
        {"running": False},
        {"since": ago(-3600)},
        {"labels": {"app": "other"}},
    ],
)
def test_it_does_not_yield_to_a_pod_that_could_not_lead(changes: dict[str, Any]) -> None:
    """On its way out, its sidecar not running, not a Pod of this owner's selection."""

    async def main() -> None:
        scene = await rolled(**{key: value for key, value in changes.items() if key != "labels"})
        if "labels" in changes:
            scene.pod("web-new-a", NEW, changes["labels"])
        await scene.stays("web-old-a", 300)
        assert ("patch", "leases") not in scene.cluster.verbs()
        await scene.end()

    play(main())


def test_it_yields_to_no_pod_of_another_owner() -> None:
    """The same labels, another Deployment's ReplicaSet; a ReplicaSet of an older revision; a Pod of nobody."""

    async def main() -> None:
        scene = await rolled(deletionTimestamp=ago(0))
        scene.cluster.put(replica_set("web-foreign", 2, owner=("other", "d2")), replica_set("web-older", 0))
        scene.pod("web-foreign-a", ("ReplicaSet", "web-foreign", "web-foreign"))
        scene.pod("web-older-a", ("ReplicaSet", "web-older", "web-older"))
        scene.pod("web-gone-a", ("StatefulSet", "web", "s1"), {"pod-template-hash": "x"})
        await scene.stays("web-old-a", 300)
        assert scene.problems() == {}
        await scene.end()

    play(main())


def test_a_candidate_must_have_been_there_for_a_lease_duration_by_the_api_servers_clock() -> None:
    """It started 20 s from now: yielded to after 35 s, and not a second before; the local clocks say something else altogether."""

    async def main() -> None:
        scene = await rolled(since=ago(-20))
        await scene.stays("web-old-a", 33)
        await scene.until("web-new-a", 25)
        await scene.end()

    play(main())


def test_without_a_date_of_the_api_server_it_waits_and_says_so() -> None:
    """Never by a clock of its own."""

    async def main() -> None:
        scene = await rolled()
        scene.cluster.date = None
        await scene.stays("web-old-a", 60)
        assert "Date" in scene.problems()["web-old-a"]
        scene.cluster.date = ""
        await scene.until("web-new-a", 60)
        assert scene.problems() == {}
        await scene.end()

    play(main())


def test_y_a_revision_that_crashes_is_yielded_to_once_in_ten_minutes_whoever_leads() -> None:
    """Schedule y: the new one crashes as soon as it leads, again and again; two old ones take turns, and each remembers for the other."""

    async def main() -> None:
        scene = Scene()
        scene.rollout()
        for name, owner in (("web-old-a", OLD), ("web-old-b", OLD), ("web-new-a", NEW)):
            scene.pod(name, owner)
        await scene.led_by("web-old-a", "web-old-b", "web-new-a")
        yielded = []
        for _ in range(3):
            await scene.until("web-new-a", AGAIN_SECONDS + 60)
            yielded.append(asyncio.get_running_loop().time())
            await scene.kill("web-new-a")
            await asyncio.sleep(17)
            former = scene.leader()
            assert former in ("web-old-a", "web-old-b")
            scene.start("web-new-a")
            # Whoever leads now is replaced by the other: the memory is not the process's.
            await scene.kill(former)
            await asyncio.sleep(17)
            if scene.leader() == "web-new-a":
                scene.runners["web-new-a"].resign(30, "web-old-a" if former == "web-old-b" else "web-old-b")
                await asyncio.sleep(2)
            scene.start(former)
            assert scene.leader().startswith("web-old")
        assert all(later - earlier >= AGAIN_SECONDS - 2 for earlier, later in pairwise(yielded))
        await scene.end()

    play(main())


def test_y_a_new_rollout_is_another_revision() -> None:
    """Ten minutes bar one revision, not the next one."""

    async def main() -> None:
        scene = await rolled()
        await scene.until("web-new-a", 25)
        scene.cluster.put(deployment(revision=3), replica_set("web-newer", 3))
        scene.pod("web-newer-a", ("ReplicaSet", "web-newer", "web-newer"))
        scene.start("web-newer-a")
        await scene.until("web-newer-a", 60)
        await scene.end()

    play(main())


def test_while_the_deployments_controller_has_not_seen_the_spec_nothing_is_yielded() -> None:
    """What it says of its revision may be over."""

    async def main() -> None:
        scene = await rolled()
        scene.cluster.put(deployment(revision=2, generation=5, observed=4))
        await scene.stays("web-old-a", 120)
        scene.cluster.put(deployment(revision=2, generation=5, observed=5))
        await scene.until("web-new-a", 30)
        await scene.end()

    play(main())


def test_a_stateful_set_is_followed_by_its_update_revision_back_and_forth() -> None:
    """Names without order: what the status says is what counts."""

    async def main() -> None:
        scene = Scene()
        owner = ("StatefulSet", "web", "s1")
        scene.cluster.put(stateful_set("web-aaa"))
        scene.pod("web-0", owner, {"controller-revision-hash": "web-zzz"})
        scene.pod("web-1", owner, {"controller-revision-hash": "web-aaa"})
        await scene.led_by("web-0", "web-1")
        await scene.until("web-1", 25)
        scene.cluster.put(stateful_set("web-zzz"))
        await scene.until("web-0", 60)
        await scene.stays("web-0", 120)
        assert set(scene.cluster.verbs()) == {
            ("get", "pods"),
            ("list", "pods"),
            ("get", "statefulsets"),
            ("get", "leases"),
            ("patch", "leases"),
        }
        await scene.end()

    play(main())


def test_a_daemon_set_is_followed_by_its_newest_controller_revision_back_and_forth() -> None:
    """After an undo the older template has the larger number."""

    async def main() -> None:
        scene = Scene()
        owner = ("DaemonSet", "web", "ds1")
        scene.cluster.put(daemon_set(), controller_revision("zzz", 1), controller_revision("aaa", 2))
        scene.pod("web-x", owner, {"controller-revision-hash": "zzz"})
        scene.pod("web-y", owner, {"controller-revision-hash": "aaa"})
        await scene.led_by("web-x", "web-y")
        await scene.until("web-y", 25)
        scene.cluster.put(controller_revision("zzz", 3))
        await scene.until("web-x", 60)
        await scene.stays("web-x", 120)
        await scene.end()

    play(main())


@pytest.mark.parametrize("right", [("get", "pods"), ("get", "replicasets"), ("get", "deployments"), ("list", "pods"), ("patch", "leases")])
def test_a_missing_right_is_said_once_with_verb_and_resource_and_tried_again(
    caplog: pytest.LogCaptureFixture, right: tuple[str, str]
) -> None:
    """In the log once, in /readyz?verbose for as long as it lasts; nobody yields meanwhile, and nobody stops leading."""
    caplog.set_level(logging.INFO)

    async def main() -> None:
        scene = await rolled()
        scene.cluster.refused[right] = 403
        await scene.stays("web-old-a", 300)
        said = scene.runners["web-old-a"].status.problems[HealthLine.ROLLOUT_HANDOVER]
        assert f"not allowed: verb {right[0]} on {right[1]}" in said
        assert 'in namespace "shop"' in said
        assert [record.getMessage() for record in caplog.records].count("rollout-handover failed") == 1
        del scene.cluster.refused[right]
        await scene.until("web-new-a", 60)
        assert scene.problems() == {}
        await scene.end()

    play(main())


@pytest.mark.parametrize("status", [404, 409, 429, 500, 504])
def test_what_fails_for_a_while_is_tried_again(status: int) -> None:
    """A race for the Lease (409) is none: what is not remembered is not yielded."""

    async def main() -> None:
        scene = await rolled()
        scene.cluster.refused["patch", "leases"] = status
        await scene.stays("web-old-a", 120)
        scene.cluster.refused.clear()
        await scene.until("web-new-a", 60)
        await scene.end()

    play(main())


def test_it_stays_within_the_budget_and_a_follower_asks_nothing() -> None:
    """L2: an hour in which it looks for a candidate in vain: never more than five in a second, and at most one a retry period on average,
    the election's own requests beside its renewals included.
    """

    async def main() -> None:
        scene = await rolled(since=ago(-7200))
        asked, of_lease = len(scene.cluster.asked), scene.lease.requests
        await scene.stays("web-old-a", 3600)
        times = [time for time, _, _ in scene.cluster.asked[asked:]]
        renewals = 3600 / 2
        assert len(times) + scene.lease.requests - of_lease <= renewals + 3600 / 2
        assert len(times) >= 3600 / 20, "it does look"
        assert all(later - earlier >= 1 for earlier, later in zip(times, times[5:], strict=False))
        await scene.kill("web-old-a")
        await scene.until("web-new-a", 20)
        await scene.end()

    play(main())


def test_a_pod_of_another_uid_under_its_name_is_not_its_own() -> None:
    """POD_UID is of another Pod: said, and nothing is yielded."""

    async def main() -> None:
        scene = await rolled()
        scene.pod("web-old-a", OLD, uid="another")
        await scene.stays("web-old-a", 60)
        assert "uid" in scene.problems()["web-old-a"]
        await scene.end()

    play(main())


def test_an_owner_without_revisions_is_said() -> None:
    """A bare ReplicaSet; a Pod of its own."""

    async def main() -> None:
        scene = await rolled()
        scene.cluster.put(replica_set("web-old", 1, owner=None))
        await scene.stays("web-old-a", 60)
        assert "belongs to no Deployment" in scene.problems()["web-old-a"]
        await scene.end()

    play(main())


def test_junk_in_place_of_objects_ends_nothing() -> None:
    """S10: the loop goes on, and yields when it can."""

    async def main() -> None:
        scene = await rolled()
        for path in list(scene.cluster.objects):
            if "deployments" in path:
                scene.cluster.objects[path] = {"metadata": {"uid": "d1", "generation": "x"}, "status": []}
        await scene.stays("web-old-a", 60)
        scene.rollout()
        await scene.until("web-new-a", 60)
        await scene.end()

    play(main())


def test_a_given_deadline_is_kept_when_it_yields() -> None:
    """S11: two phases, as for any resignation."""

    async def main() -> None:
        scene = await rolled()
        old = scene.runners["web-old-a"].leadership
        given_ns = 0
        while scene.leader() != "web-new-a":
            answer = old.read(promise_deadline=True)
            given_ns = max(given_ns, answer.valid_until_boottime_ns) if answer.is_leader else given_ns
            await asyncio.sleep(0.01)
        assert VirtualClock().boottime_ns() >= given_ns
        await scene.end()

    play(main())


@pytest.mark.parametrize(
    ("note", "barred"),
    [
        ("", False),
        ("junk", False),
        ("[" * 5000, False),
        ("[]", False),
        ({"revision": "r", "at": ago(0)}, True),
        ({"revision": "r", "at": ago(599)}, True),
        ({"revision": "r", "at": ago(601)}, False),
        ({"revision": "r", "at": ago(-599)}, True),
        ({"revision": "r", "at": ago(-601)}, False),
        ({"revision": "other", "at": ago(0)}, False),
        ({"revision": "r", "at": "long ago"}, False),
        ({"revision": "r", "at": None}, False),
        ({"at": ago(0)}, False),
    ],
)
def test_what_the_lease_remembers_bars_one_revision_for_ten_minutes(note: object, barred: bool) -> None:  # noqa: FBT001 - a table
    """Another API server's clock may be a little ahead; junk bars nothing, and never for ever."""
    text = note if isinstance(note, str) else json.dumps(note)
    assert is_barred(text, "r", round(NOW.timestamp() * 1e6)) is barred


def test_the_memory_is_the_leases_so_a_restart_remembers() -> None:
    """A new process of the old Pod reads it."""

    async def main() -> None:
        scene = await rolled()
        await scene.until("web-new-a", 25)
        await scene.kill("web-new-a")
        await scene.until("web-old-a", 60)
        await scene.kill("web-old-a")
        scene.start("web-old-a")
        await scene.until("web-old-a", 30)
        scene.start("web-new-a")
        await scene.stays("web-old-a", 400)
        await scene.until("web-new-a", 200)
        await scene.end()

    play(main())
