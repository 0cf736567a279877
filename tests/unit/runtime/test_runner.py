"""One election, whole; and two of them in one process, each with a Lease of its own."""

import asyncio
from pathlib import Path

import pytest

from sidecar.clock import SystemClock
from sidecar.election.requests import Candidate
from sidecar.election.store import Done, Store
from sidecar.election.view import State
from sidecar.local.store import LocalStore
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner, WrongStateError
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.virtual_time import VirtualClock, run_virtually


def runner(store: Store, lease: str, clock: SystemClock, pod: str = "a") -> Runner:
    """One election of that Pod's process."""
    me = Candidate(f"{pod}_u", f"process-{pod}", "place", 15, 10, 2, 10, native_sidecar=True)
    return Runner(store, clock, Leadership(clock, Names(me.identity, lease, "shop", "boot")), me)


def test_it_watches_stands_by_and_strikes_itself_off_at_its_end() -> None:
    async def main() -> None:
        lease, clock = MemoryLease(), VirtualClock()
        ones = [runner(MemoryStore(lease), "web", clock, pod) for pod in "ab"]
        runs = []
        for one in ones:
            runs.append(asyncio.create_task(one.run()))
            await asyncio.sleep(1)
        await asyncio.sleep(10)
        assert ones[1].status.watch == "open"
        assert list(lease.record.standbys) == ["b_u"]
        for one, run in zip(reversed(ones), reversed(runs), strict=True):
            one.stop()
            await run
            await one.finish()
        assert not lease.record.standbys
        assert not lease.record.holder

    run_virtually(main())


def test_a_bug_in_the_watch_ends_the_election() -> None:
    """No leader, rather than one that hears nothing."""

    async def main() -> None:
        one = runner(MemoryStore(MemoryLease()), "web", VirtualClock())

        async def broken() -> None:
            await asyncio.sleep(1)
            raise ZeroDivisionError

        one.watcher.poll = broken  # type: ignore[method-assign]
        with pytest.raises(ZeroDivisionError):
            await one.run()
        assert not one.leadership.read().is_leader

    run_virtually(main())


def test_two_in_one_process_hold_two_leases() -> None:
    """And what is asked of the one, the other does not hear of."""

    async def main() -> None:
        clock, leases = VirtualClock(), {name: MemoryLease() for name in ("web", "batch")}
        ones = {name: runner(MemoryStore(lease), name, clock) for name, lease in leases.items()}
        runs = {name: asyncio.create_task(one.run()) for name, one in ones.items()}
        await asyncio.sleep(60)
        assert [lease.record.holder for lease in leases.values()] == ["a_u", "a_u"]
        term = ones["batch"].leadership.read().fencing_token
        ones["web"].resign(None, "")
        await asyncio.sleep(1)
        assert ones["web"].situation().state is State.RESIGNED
        with pytest.raises(WrongStateError):
            ones["batch"].campaign()
        ones["web"].stop()
        await runs["web"]
        await asyncio.sleep(60)
        answer = ones["batch"].leadership.read()
        assert (answer.is_leader, answer.fencing_token, answer.lease) == (True, term, "batch")
        assert leases["web"].record.holder == ""
        assert len(ones["batch"].history.terms) == 1
        assert ones["batch"].status.requests["patch", "done"] > ones["web"].status.requests["patch", "done"]
        ones["batch"].stop()
        await runs["batch"]
        assert leases["batch"].record.holder == ""

    run_virtually(main())


async def test_two_in_one_process_hold_two_leases_of_one_file(tmp_path: Path) -> None:
    clock = SystemClock()
    stores = {name: LocalStore(str(tmp_path / "leases"), "shop", name, clock) for name in ("web", "batch")}
    ones = {name: runner(store, name, clock) for name, store in stores.items()}
    runs = [asyncio.create_task(one.run()) for one in ones.values()]
    for one in ones.values():
        async with asyncio.timeout(20):
            while not one.leadership.read().is_leader:
                await one.elector.changed()
    for store in stores.values():
        found = await store.read()
        assert isinstance(found, Done)
        assert found.record.holder == "a_u"
    for one in ones.values():
        one.stop()
    await asyncio.gather(*runs)
    for store in stores.values():
        await store.close()
