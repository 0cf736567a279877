"""What one changed line would break without a sound: a candidate that waits, reads, releases or says false where nothing hurries it."""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from sidecar.election.events import StepDown
from sidecar.election.record import JSON, TERM_ANNOTATION
from sidecar.election.requests import Candidate, Kind
from sidecar.election.store import Conflict, Done, Outcome
from sidecar.election.view import State
from sidecar.local.validation import merged
from sidecar.runtime.elector import Elector
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from sidecar.runtime.standby import wished
from tests.simulation.client import Client
from tests.simulation.eager import start_here
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.situations import due, leading
from tests.support.world import Actor, World

TIMES = [(15, 10.0, 2.0), (3, 2.0, 0.5), (6, 4.0, 1.0), (3600, 2400.0, 300.0)]


@pytest.mark.parametrize(("lease", "renew", "retry"), TIMES)
def test_two_requests_fit_between_a_renewal_that_is_due_and_the_deadline(lease: int, renew: float, retry: float) -> None:
    """One that hangs costs no term: the next is answered before the deadline, or hangs too."""
    me = Candidate("a_u", "i", "place", lease, renew, retry, renew)
    assert retry + 2 * me.request_limit_seconds == pytest.approx(renew)


@pytest.mark.parametrize(("seconds", "out"), [(60, 60), (5, 15)])
def test_a_candidate_that_met_a_duplicate_identity_is_out_for_the_longer_of_both_durations(seconds: int, out: int) -> None:
    """S9 d: the other's promise is as good as its own."""
    world = leading()
    a, term = world["A"], world.api.record.term
    assert term is not None
    other = replace(term, process="other").to_json()
    world.api.edit(leaseDurationSeconds=seconds, annotations={TERM_ANNOTATION: other}, renewTime="2026-11-23T08:00:00.000000Z")
    a.watch()
    assert a.state is State.CONFLICT
    world.pass_(out - 0.1)
    assert a.tick().state is State.CONFLICT
    world.pass_(0.2)
    assert a.tick().state is State.FOLLOWING


def test_a_placeholder_that_replaces_a_client_go_program_is_no_client_go_program() -> None:
    """S7: a candidate that saw the longer promise waits it out, also over a placeholder of a candidate that did not, and over its end."""
    world = World("AB")
    a, b = world["A"], world["B"]
    world.api.edit(holderIdentity="go-1", leaseDurationSeconds=60, renewTime="2026-11-23T08:00:00.000000Z", leaseTransitions=0)
    a.go(Kind.READ)
    world.api.delete()
    b.go(Kind.READ)
    world.pass_(0.1)
    b.tick().go(Kind.PLACEHOLDER)
    a.watch()
    assert a.election.last is not None
    assert a.election.last.of_sidecar
    world.api.edit(holderIdentity="")
    a.watch()
    kind, after = due(a) or (None, 0.0)
    assert kind is Kind.ACQUIRE
    assert after > 59


def acquires_unheard(*, out_seconds: float | None = None, leaving: bool = False) -> tuple[World, Actor]:
    """A has taken the Lease, no answer has come, and it is asked to step down."""
    world = World("A")
    a = world["A"]
    a.go(Kind.READ)
    world.pass_(0.1)
    a.tick().send(Kind.ACQUIRE).commit().lose()
    a.absorb(StepDown("asked to", out_seconds=out_seconds, leaving=leaving))
    assert a.state is State.RESIGNED
    return world, a


@pytest.mark.parametrize("leaving", [False, True])
def test_who_steps_down_with_a_write_of_unknown_outcome_reads_again_and_releases_what_has_landed(leaving: bool) -> None:  # noqa: FBT001
    """Else its Lease stands for a whole lease duration, with nobody behind it."""
    world, a = acquires_unheard(leaving=leaving)
    world.pass_(a.me.retry_period_seconds)
    assert due(a) == (Kind.READ, 0.0)
    a.go(Kind.READ)
    assert due(a) == (Kind.RELEASE, 0.0)
    a.go(Kind.RELEASE)
    assert world.api.record.holder == ""


def test_nobody_comes_back_from_its_time_out_before_what_landed_late_is_released() -> None:
    """It would find itself in the Lease and lead on, where it was asked to let others go first."""
    world, a = acquires_unheard(out_seconds=2.5)
    world.pass_(a.me.retry_period_seconds)
    a.go(Kind.READ)
    late = a.send(Kind.RELEASE)
    world.pass_(1)
    assert a.tick().state is State.RESIGNED
    late.lose()
    world.pass_(a.me.retry_period_seconds)
    assert a.tick().state is State.RESIGNED
    a.go(Kind.RELEASE)
    assert world.api.record.holder == ""
    assert a.tick().state is State.FOLLOWING


def test_nobody_stands_by_on_the_lease_of_another_group() -> None:
    world = World("ABC", each=lambda name: {"group": "green" if name == "C" else "blue"})
    for name in "ABC":
        world[name].go(Kind.READ)
    world.pass_(0.1)
    world["A"].tick().go(Kind.ACQUIRE)
    for name in "BC":
        world[name].watch()
    assert wished(world["B"].election) == ("B_uid",)
    assert wished(world["C"].election) is None


# ---- the loop -------------------------------------------------------------------------------------------------------------------------


class Faulty(MemoryStore):
    """From some moment on it has a bug."""

    broken = False

    async def patch(self, patch: JSON) -> Outcome:
        """As ever, or a bug."""
        if self.broken:
            raise ZeroDivisionError
        return await super().patch(patch)


@pytest.mark.parametrize("end", ["cancelled", "a bug", "told to leave at once"])
def test_when_the_loop_has_ended_the_answer_is_false_however_it_ended(end: str) -> None:
    """Its deadline lies ahead, and nobody is left to look at the Lease (S4)."""

    async def main() -> None:
        clock, store = VirtualClock(), Faulty(MemoryLease())
        me = Candidate("a_u", "i", "place", 15, 10, 2, 10)
        runner = NoStandBy(store, clock, Leadership(clock, Names(me.identity, "web", "shop", "b")), me)
        run = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        assert runner.leadership.read().is_leader
        if end == "cancelled":
            run.cancel()
        elif end == "a bug":
            store.broken = True
        else:
            runner.stop(now=True)
        (failure,) = await asyncio.gather(run, return_exceptions=True)
        assert isinstance(failure, {"cancelled": asyncio.CancelledError, "a bug": ZeroDivisionError}.get(end, type(None)))
        assert not runner.leadership.read().is_leader
        assert runner.situation().leaving

    run_virtually(main())


class Instant(MemoryStore):
    """It answers without awaiting anything, as the local store does."""

    async def _ask(self) -> None:
        return

    async def patch(self, patch: JSON) -> Outcome:
        """Carried out at once."""
        assert self._lease.lease is not None
        if patch["metadata"]["resourceVersion"] != str(self._lease.version):
            return Conflict()
        self._lease.put(merged(self._lease.lease, patch))
        return Done(self._lease.record)


class EagerElector(Elector):
    """As on Python 3.14 and newer."""

    def _task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return start_here(work)


class Eager(NoStandBy):
    """Likewise."""

    ELECTOR = EagerElector


@pytest.mark.parametrize("kind", [NoStandBy, Eager])
def test_status_and_log_hear_of_each_move_in_order_where_the_store_answers_at_once(kind: type[Runner]) -> None:
    """The release has landed before the command that asked for it returns."""

    async def main() -> None:
        clock = VirtualClock()
        me = Candidate("a_u", "i", "place", 15, 10, 2, 10)
        runner = kind(Instant(MemoryLease()), clock, Leadership(clock, Names(me.identity, "web", "shop", "b")), me)
        told: list[tuple[State, State]] = []
        runner.status.transition_listeners.append(lambda before, after: told.append((before.state, after.state)))
        run = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        runner.resign(0.0, "")
        await asyncio.sleep(3)
        runner.stop()
        await run
        led = [State.LEADING, State.STEPPING_DOWN, State.RESIGNED]
        states = [State.STARTING, State.FOLLOWING, *led, State.FOLLOWING, *led]
        assert told == list(pairwise(states))

    run_virtually(main())


class Hasty(random.Random):
    """It waits for nobody (L2)."""

    def random(self) -> float:
        """The largest there is."""
        return 0.9999


def test_what_a_command_answers_is_given_like_any_other_true_answer() -> None:
    """S11: who campaigns on a free Lease, in a store that answers at once, is told of its new term, and its deadline, by the answer."""

    async def main() -> None:
        clock = VirtualClock()
        me = Candidate("a_u", "i", "place", 15, 10, 2, 10)
        leadership = Leadership(clock, Names(me.identity, "web", "shop", "b"))
        runner = Eager(Instant(MemoryLease()), clock, leadership, me, Hasty())
        run = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        runner.resign(600, "")
        await asyncio.sleep(3)
        assert leadership.given_until_ns == 0
        answer = await Client(runner, clock).command("/campaign")
        assert answer is not None
        assert answer.is_leader
        assert leadership.given_until_ns == answer.valid_until_boottime_ns > clock.boottime_ns()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    run_virtually(main())
