"""The elector on virtual time over a Lease in memory: a day without faults, and a bug that is no silent one."""

import asyncio
from random import Random

import pytest

from sidecar.election.record import JSON
from sidecar.election.requests import Candidate
from sidecar.election.store import Outcome, Store, Unknown
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.share import first


def runner(number: int, store: Store) -> Runner:
    """A candidate with the default times."""
    clock = VirtualClock()
    me = Candidate(f"web-{number}_u", f"process-{number}", "place", 15, 10, 2, 10, native_sidecar=True)
    return NoStandBy(store, clock, Leadership(clock, Names(me.identity, "web", "shop", f"b{number}")), me, Random(number))


@pytest.mark.parametrize("hours", first([2, 24]))
def test_in_a_day_without_faults_there_is_no_transition(hours: int) -> None:
    """One term, whose version and token stand all the time (L3); a follower asks less than once a minute, the leader 30 times, at most once
    more.
    """

    async def main() -> None:
        lease = MemoryLease()
        runners = [runner(number, MemoryStore(lease)) for number in range(3)]
        runs = [asyncio.create_task(one.run()) for one in runners]
        await asyncio.sleep(2)
        before = [one.leadership.read() for one in runners]
        assert [answer.is_leader for answer in before].count(True) == 1
        asked = lease.requests
        await asyncio.sleep(hours * 3600)
        after = [one.leadership.read() for one in runners]
        assert [answer.version for answer in after] == [answer.version for answer in before]
        assert [answer.fencing_token for answer in after] == [answer.fencing_token for answer in before]
        assert lease.record.transitions == 0
        assert (lease.requests - asked) / (hours * 60) <= 30 + 1 + 2
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    run_virtually(main())


class BrokenStore(MemoryStore):
    """Breaks the protocol's promise: an exception in place of an outcome."""

    async def patch(self, patch: JSON) -> Outcome:  # noqa: ARG002 - the protocol names it
        """Raise."""
        raise RuntimeError("a bug")


def test_a_bug_in_a_task_ends_the_elector_and_every_answer_is_false() -> None:
    """It is raised out of `run`, and never leaves an elector that stands still and looks well."""

    async def main() -> None:
        one = runner(0, BrokenStore(MemoryLease()))
        with pytest.raises(RuntimeError, match="a bug"):
            await asyncio.wait_for(one.run(), 60)
        assert not one.leadership.read().is_leader

    run_virtually(main())


class UnluckyStore(MemoryStore):
    """Its first write is lost."""

    lost = False

    async def patch(self, patch: JSON) -> Outcome:
        """Unknown, once."""
        if self.lost:
            return await super().patch(patch)
        self.lost = True
        return Unknown("no answer")


def test_a_failure_that_has_passed_is_no_problem_of_a_follower() -> None:
    """It may not write again for a day: once it hears of another leader, /readyz?verbose no longer lists the lost write."""

    async def main() -> None:
        lease = MemoryLease()
        unlucky = runner(0, UnluckyStore(lease))
        run = asyncio.create_task(unlucky.run())
        await asyncio.sleep(1)
        assert unlucky.status.problems == {HealthLine.PATCH: "no answer"}
        other = asyncio.create_task(runner(1, MemoryStore(lease)).run())
        await asyncio.sleep(60)
        assert unlucky.leadership.read().name == "web-1"
        assert not unlucky.status.problems
        for task in (run, other):
            task.cancel()
        await asyncio.gather(run, other, return_exceptions=True)

    run_virtually(main())


class FullStore(MemoryStore):
    """Every patch ends in 5xx, until `works`; reads and watches are well."""

    works = False

    async def patch(self, patch: JSON) -> Outcome:
        """Unknown."""
        return await super().patch(patch) if self.works else Unknown("HTTP 500: database space exceeded")


def test_what_fails_works_again_when_a_request_of_its_kind_succeeds_and_never_by_news(caplog: pytest.LogCaptureFixture) -> None:
    """An hour in which no patch lands, and a watch that is opened anew again and again: said once, and shown all the time."""
    caplog.set_level("INFO")

    async def main() -> None:
        store = FullStore(MemoryLease())
        one = runner(0, store)
        run = asyncio.create_task(one.run())
        await asyncio.sleep(5)
        for _ in range(3600):
            await asyncio.sleep(1)
            assert HealthLine.PATCH in one.status.problems
        said = [record.getMessage() for record in caplog.records]
        assert said.count("patch failed") == 1
        assert "patch works again" not in said
        store.works = True
        await asyncio.sleep(10)
        assert one.leadership.read().is_leader
        assert [record.getMessage() for record in caplog.records].count("patch works again") == 1
        assert not one.status.problems
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    run_virtually(main())


class AlteringStore(MemoryStore):
    """An admission webhook shortens each duration, until `works`."""

    works = False

    async def patch(self, patch: JSON) -> Outcome:
        """As asked, but for the duration."""
        spec = patch["spec"] if self.works or "spec" not in patch else patch["spec"] | {"leaseDurationSeconds": 3}
        return await super().patch(patch | {"spec": spec})


def test_what_stands_otherwise_than_written_is_named_once_and_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """S3: nobody leads, and log and `/readyz?verbose` say which field and why."""
    caplog.set_level("INFO")

    async def main() -> None:
        store = AlteringStore(MemoryLease())
        one = runner(0, store)
        run = asyncio.create_task(one.run())
        await asyncio.sleep(5)
        for _ in range(120):
            await asyncio.sleep(1)
            assert not one.leadership.read().is_leader
            problem = one.status.problems[HealthLine.LEASE_CONTENTS]
            assert "the Lease does not hold what this sidecar wrote: spec.leaseDurationSeconds; " in problem
        said = [record.getMessage() for record in caplog.records if "the Lease does not hold" in record.getMessage()]
        assert len(said) == 1
        assert "find the admission webhook or policy that changes leases" in said[0]
        store.works = True
        await asyncio.sleep(10)
        assert one.leadership.read().is_leader
        assert not one.status.problems
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    run_virtually(main())
