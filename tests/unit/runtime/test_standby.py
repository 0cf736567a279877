"""Stand-bys: who goes first when the Lease is free, and how two of a group come to be named in it (L2)."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from sidecar.election.events import StepDown
from sidecar.election.record import JSON, STANDBY_ANNOTATION, Record, parse
from sidecar.election.requests import Candidate, Kind
from sidecar.election.store import Denied, Outcome, Unknown
from sidecar.election.turns import HOLD_BACK_SECONDS, LATE_SPREAD_SECONDS, SPREAD_SECONDS, STANDBY_LEAD_SECONDS, STANDBY_STEP_SECONDS
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from sidecar.runtime.standby import AGAIN_SECONDS, LAST_SECONDS, MOST, VOLUNTEER_SECONDS, wished
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.situations import due, leading, resigned
from tests.support.world import World

SOON = VOLUNTEER_SECONDS + 0.5


def named(*names: str) -> World:
    """A leads, these stand by, and A has released."""
    world = leading("ABCD")
    world.api.edit(annotations={STANDBY_ANNOTATION: json.dumps([f"{name}_uid" for name in names])})
    world["A"].watch()
    resigned(world)
    for name in "BCD":
        world[name].watch()
    return world


def wait_seconds(world: World, name: str) -> float:
    """How long that one lets others go first."""
    kind, after = due(world[name]) or (None, 0.0)
    assert kind is Kind.ACQUIRE
    return float(after)


# ---- who goes first -------------------------------------------------------------------------------------------------------------------


def test_the_first_waits_for_nobody_the_second_for_the_first_the_rest_for_both() -> None:
    world = named("C", "B")
    assert wait_seconds(world, "C") == 0
    assert wait_seconds(world, "B") == pytest.approx(STANDBY_STEP_SECONDS)
    assert STANDBY_LEAD_SECONDS <= wait_seconds(world, "D") <= STANDBY_LEAD_SECONDS + LATE_SPREAD_SECONDS
    assert MOST * STANDBY_STEP_SECONDS < STANDBY_LEAD_SECONDS
    assert STANDBY_LEAD_SECONDS + LATE_SPREAD_SECONDS < 1, "L1"


def test_where_nobody_stands_by_all_spread() -> None:
    world = named()
    assert all(wait_seconds(world, name) <= SPREAD_SECONDS for name in "BCD")


def test_at_an_expiry_they_go_in_the_same_order() -> None:
    world = leading("ABC")
    world.api.edit(annotations={STANDBY_ANNOTATION: '["C_uid"]'})
    world["A"].watch()
    world.pass_(2)
    world["A"].tick().go(Kind.RENEW)
    for name in "BC":
        world[name].watch()
    assert wait_seconds(world, "C") == pytest.approx(15, abs=0.2)
    assert wait_seconds(world, "B") >= wait_seconds(world, "C") + STANDBY_LEAD_SECONDS


def test_whom_the_leader_names_goes_before_those_who_stand_by() -> None:
    """And they stay: they had no turn."""
    world = leading("ABCD")
    world.api.edit(annotations={STANDBY_ANNOTATION: '["B_uid","C_uid"]'})
    a = world["A"].watch()
    a.absorb(StepDown("asked to", a.process_given_ns, successor="D"))
    a.go(Kind.RELEASE)
    for name in "BCD":
        world[name].watch()
    assert wait_seconds(world, "D") == 0
    assert wait_seconds(world, "B") == HOLD_BACK_SECONDS
    world["D"].go(Kind.ACQUIRE)
    assert world.api.record.standbys == ("B_uid", "C_uid")


@pytest.mark.parametrize(("who", "left"), [("B", ("C_uid",)), ("C", ()), ("D", ())])
def test_who_takes_the_lease_strikes_off_itself_and_those_whose_turn_it_was(who: str, left: tuple[str, ...]) -> None:
    """A renewal and a release leave the others as they are."""
    world = named("B", "C")
    world.pass_(1)
    world[who].go(Kind.ACQUIRE)
    assert world.api.record.standbys == left
    world.pass_(2)
    world[who].tick().go(Kind.RENEW)
    world[who].step_down(app_ended=True).go(Kind.RELEASE)
    assert world.api.record.standbys == left


@pytest.mark.parametrize("junk", ["", "x", "[", "{}", "7", "null", '[1, null, {}, ""]', "[" * 5000, '["' + "x" * 5000 + '"]'])
def test_junk_names_nobody(junk: str) -> None:
    """(S10)."""
    assert parse({"metadata": {"annotations": {STANDBY_ANNOTATION: junk}}}).standbys == ()


def test_each_counts_once_the_holder_never_and_only_a_few() -> None:
    text = json.dumps(["a", "b", "a", "me", *"cdefghijk"])
    lease = {"metadata": {"annotations": {STANDBY_ANNOTATION: text}}, "spec": {"holderIdentity": "me"}}
    assert parse(lease).standbys == tuple("abcdefgh")


# ---- how they come to be named --------------------------------------------------------------------------------------------------------


class Way(MemoryStore):
    """To the Lease; `stood` are the writes of who stands by."""

    def __init__(self, lease: MemoryLease) -> None:
        super().__init__(lease)
        self.stood: list[JSON] = []
        self.refusal: Outcome | None = None

    async def patch(self, patch: JSON) -> Outcome:
        """Noted, then as ever."""
        if "spec" not in patch:
            self.stood.append(patch)
            if self.refusal is not None:
                return self.refusal
        return await super().patch(patch)


@dataclass
class One:
    """A candidate that runs."""

    store: Way
    runner: Runner
    run: "asyncio.Task[None]"

    @property
    def identity(self) -> str:
        """As in the Lease."""
        return self.runner.candidate.identity

    async def stop(self) -> None:
        """As on SIGTERM."""
        self.runner.stop()
        await self.run
        await self.runner.finish()


@asynccontextmanager
async def group(*names: str, app_has_health: bool = False) -> AsyncIterator[tuple[MemoryLease, dict[str, One]]]:
    """The first leads; then the others start."""
    lease, clock, found = MemoryLease(), VirtualClock(), dict[str, One]()
    for number, name in enumerate(names):
        me = Candidate(f"{name}_u", f"process-{name}", "place", 15, 10, 2, 10, native_sidecar=True, app_has_health=app_has_health)
        store = Way(lease)
        runner = Runner(store, clock, Leadership(clock, Names(me.identity, "web", "shop", name)), me, random.Random(number))
        found[name] = One(store, runner, asyncio.create_task(runner.run()))
        if not number:
            await asyncio.sleep(1)
    try:
        yield lease, found
    finally:
        tasks = [one.run for one in found.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_two_of_a_group_stand_by_soon_and_the_others_write_nothing() -> None:
    """Two writes, a third where two come at once; then none in an hour."""

    async def main() -> None:
        async with group(*"abcdef") as (lease, ones):
            await asyncio.sleep(SOON)
            assert len(lease.record.standbys) == MOST
            assert lease.record.holder == "a_u"
            writes = sum(len(one.store.stood) for one in ones.values())
            assert writes <= MOST + 2
            await asyncio.sleep(3600)
            assert sum(len(one.store.stood) for one in ones.values()) == writes

    run_virtually(main())


def test_it_touches_its_annotation_and_nothing_else_conditionally() -> None:
    """(S5)."""

    async def main() -> None:
        async with group("a", "b") as (lease, ones):
            await asyncio.sleep(1.1)
            before = lease.record
            await asyncio.sleep(SOON)
            (patch,) = ones["b"].store.stood
            assert set(patch) == {"metadata"}
            assert set(patch["metadata"]) == {"annotations", "resourceVersion"}
            assert patch["metadata"]["annotations"] == {STANDBY_ANNOTATION: '["b_u"]'}
            assert lease.record.standbys == ("b_u",)
            assert replace(lease.record, version="", renew_time_us=0, standbys=(), term=None) == replace(
                before, version="", renew_time_us=0, standbys=(), term=None
            )

    run_virtually(main())


def test_who_stops_strikes_itself_off_and_ends_at_once() -> None:
    async def main() -> None:
        async with group("a", "b", "c") as (lease, ones):
            await asyncio.sleep(SOON)
            await asyncio.gather(ones["b"].stop(), ones["c"].stop())
            assert lease.record.standbys == ()
            assert lease.record.holder == "a_u"

    run_virtually(main())


def test_at_its_end_it_waits_for_no_api_server() -> None:
    class Silent(Way):
        async def patch(self, patch: JSON) -> Outcome:
            await asyncio.sleep(3600)
            return await super().patch(patch)

    async def main() -> None:
        async with group("a", "b") as (lease, ones):
            await asyncio.sleep(SOON)
            assert lease.record.standbys == ("b_u",)
            one = ones["b"]
            assert one.runner.standby is not None
            one.runner.standby._store = Silent(lease)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.stop()
            assert loop.time() - began <= LAST_SECONDS + 0.01

    run_virtually(main())


def test_who_is_not_healthy_does_not_stand_by_and_strikes_itself_off() -> None:
    async def main() -> None:
        async with group("a", "b", app_has_health=True) as (lease, ones):
            ones["a"].runner.health(ok=True)
            said = []
            for seconds, ok in ((SOON, True), (SOON, False), (0.1, False)):
                await asyncio.sleep(seconds)
                said.append(lease.record.standbys)
                ones["b"].runner.health(ok=ok)
            assert lease.record.holder == "a_u"
            assert said == [(), ("b_u",), ()]

    run_virtually(main())


@pytest.mark.parametrize("refusal", [Denied("forbidden"), Unknown("HTTP 500")])
def test_what_is_refused_is_said_and_tried_again_a_minute_later(refusal: Outcome) -> None:
    async def main() -> None:
        async with group("a", "b") as (lease, ones):
            store = ones["b"].store
            store.refusal = refusal
            await asyncio.sleep(SOON)
            assert ones["b"].runner.status.requests["patch", "denied"] == 0, "no request of the election"
            assert len(store.stood) == 1
            await asyncio.sleep(600)
            assert len(store.stood) <= 1 + 600 / AGAIN_SECONDS
            store.refusal = None
            await asyncio.sleep(3 * AGAIN_SECONDS)
            assert lease.record.standbys == ("b_u",)
            assert HealthLine.STANDBY not in ones["b"].runner.status.problems

    run_virtually(main())


def test_what_does_not_stay_is_written_once_a_minute_and_no_more() -> None:
    """A webhook takes the annotation off again."""

    async def main() -> None:
        async with group("a", "b") as (lease, ones):

            async def takes_it_off() -> None:
                while True:
                    await lease.changed.wait()
                    if lease.record.standbys:
                        found = lease.lease or {}
                        metadata = found["metadata"] | {"annotations": found["metadata"]["annotations"] | {STANDBY_ANNOTATION: None}}
                        lease.put(found | {"metadata": metadata})
                    await asyncio.sleep(0)

            task = asyncio.create_task(takes_it_off())
            await asyncio.sleep(600)
            task.cancel()
            assert len(ones["b"].store.stood) <= 600 / VOLUNTEER_SECONDS
            assert lease.record.holder == "a_u"

    run_virtually(main())


@pytest.mark.parametrize("record", [Record("1", holder="client-go"), Record("1"), None])
def test_where_no_sidecar_holds_it_nobody_stands_by(record: Record | None) -> None:
    """A client-go program would not wait for them, and an empty Lease is taken."""
    assert wished(replace(World("B")["B"].election, record=record)) is None
