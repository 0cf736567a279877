"""Several processes on one file: one at a time, none held up for long, nothing lost."""

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from sidecar.election.record import merge_patch
from sidecar.election.store import Busy, Changed, Opened
from sidecar.local.store import BUSY_SECONDS
from tests.support.local_stores import HELD, done, on, opened, record, spawn, until_changed

# ---- other processes ----


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """The file while another process is in the middle of a write, stopped there say."""
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        sql.execute("BEGIN EXCLUSIVE")
        yield sql
        if sql.in_transaction:
            sql.execute("ROLLBACK")


async def test_a_locked_file_is_busy_and_the_loop_goes_on_meanwhile(path: Path) -> None:
    store = opened(path)
    base = await record(store)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with aclosing(store.watch()) as events:
        assert [await anext(events), type(await anext(events))] == [Opened(), Changed]
        with locked(path):
            async with asyncio.timeout(10):
                outcomes = await asyncio.gather(store.read(), store.patch(on(base)), store.create(merge_patch(HELD, None)))
            assert set(outcomes) == {Busy(BUSY_SECONDS, f"the store local:{path}: another process has the file's lock")}
            assert ticks > 100
        written = done(await store.patch(on(base)))
        assert await until_changed(events) == [Changed(written)]
    ticking.cancel()


async def test_a_lock_that_is_let_go_is_waited_for(path: Path) -> None:
    store = opened(path)
    base = await record(store)
    with locked(path) as other:
        call = asyncio.create_task(store.patch(on(base)))
        await asyncio.sleep(0.03)
        assert not call.done()
        other.execute("ROLLBACK")
        done(await call)


async def test_a_file_that_is_locked_at_the_start_is_opened_later(path: Path) -> None:
    """Not refused: it heals by itself."""
    opened(path)
    with locked(path):
        store = opened(path)
        outcome = await store.read()
        assert isinstance(outcome, Busy)
        assert "lock" in outcome.message
    assert (await record(store)).holder == ""


COUNT = """if True:
    import asyncio, dataclasses, sys
    from sidecar.clock import SystemClock
    from sidecar.election.record import merge_patch
    from sidecar.local.store import LocalStore
    from sidecar.election.store import Conflict, Done
    async def main():
        store = LocalStore(sys.argv[1], "shop", "web", SystemClock())
        print("ready", flush=True)
        for _ in range(int(sys.argv[2])):
            while True:
                found = await store.read()
                if not isinstance(found, Done):
                    continue
                former = found.record.transitions or 0
                next = dataclasses.replace(found.record, holder=sys.argv[3], duration_seconds=1, transitions=former + 1)
                outcome = await store.patch(merge_patch(next, found.record.version))
                if isinstance(outcome, Done):
                    assert outcome.record.transitions == former + 1
                    break
                assert isinstance(outcome, Conflict), outcome
    asyncio.run(main())
"""


async def test_four_processes_that_count_together_lose_no_update(path: Path) -> None:
    store = opened(path)
    processes = [spawn(COUNT, path, 50, f"web-{index}") for index in range(4)]
    ended = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, ended
    assert (await record(store)).transitions == 200


async def test_a_process_killed_in_the_middle_of_its_writes_leaves_a_whole_lease(path: Path) -> None:
    """Ten times, each at another moment: what was confirmed stands, and the next write lands."""
    store = opened(path)
    for turn in range(10):
        process = spawn(COUNT, path, 1_000_000, "web-9")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before = await record(store)
        await asyncio.sleep(0.01 + 0.0037 * turn)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        after = await record(store)
        assert (after.transitions or 0) >= (before.transitions or 0)
        done(await store.patch(on(after, replace(HELD, transitions=after.transitions))))
    with closing(sqlite3.connect(path)) as sql:
        assert sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
