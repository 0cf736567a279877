"""What may become of the local store's file while it is in use."""

# ruff: noqa: ASYNC240 - local files: microseconds

import asyncio
import os
import sqlite3
import stat
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.election.record import merge_patch
from sidecar.election.store import Changed, Closed, Conflict, Deleted, Denied, Done, Missing, Opened, Unknown
from sidecar.local.file import GoneError, LeaseFile
from tests.support.local_stores import FREE, HELD, done, on, opened, record, until_changed

# ---- a file that is deleted or replaced (schedule A) ----


async def test_a_deleted_file_is_never_written_to_and_another_process_makes_a_new_one(path: Path) -> None:
    """Schedule A: the holder of the deleted file does not go on in it by itself."""
    holder, other = opened(path), opened(path)
    held = done(await holder.patch(on(await record(holder))))
    await record(other)
    path.unlink()
    assert await holder.patch(on(held)) == Missing()
    assert await holder.read() == Missing()
    assert not path.exists(), "neither a read nor a patch makes a file"
    assert await other.read() == Missing()
    created = done(await other.create(merge_patch(replace(HELD, holder="web-1_u2"), None)))
    assert int(created.version) > int(held.version)
    assert await holder.patch(on(held)) == Conflict()
    assert await record(holder) == created
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_put_in_its_place_is_missing_once_to_each_who_had_the_former_one_open(path: Path) -> None:
    """Also where it holds the same bytes: whoever goes on in it has to hear that the Lease was away."""
    stores = [opened(path) for _ in range(3)]
    held = done(await stores[0].patch(on(await record(stores[0]))))
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)
    before = path.read_bytes()
    patched, read, created = [
        await call for call in (stores[0].patch(on(held)), stores[1].read(), stores[2].create(merge_patch(HELD, None)))
    ]
    assert (patched, read, created) == (Missing(), Missing(), Conflict())
    assert before.count(b"web-0_u1") == path.read_bytes().count(b"web-0_u1")
    for store in stores:
        assert await record(store) == held


async def test_a_watch_tells_of_a_new_file_in_place_of_the_old_whoever_notices_first(path: Path) -> None:
    store, other = opened(path), opened(path)
    async with aclosing(store.watch()) as events, asyncio.timeout(20):
        assert await anext(events) == Opened()
        first = await anext(events)
        assert isinstance(first, Changed)
        path.unlink()
        created = done(await other.create(merge_patch(HELD, None)))
        assert await store.read() == Missing(), "the read is the first to notice"
        assert await record(store) == created
        news = await until_changed(events)
    assert news == [Deleted(), Changed(created)]


async def test_nothing_is_committed_to_a_file_that_went_in_the_middle_of_a_write(path: Path) -> None:
    store = opened(path)
    file = store._file
    assert file is not None
    kept = path.with_name("kept")
    kept.hardlink_to(path)
    path_of_others = path.with_name("gone")
    with pytest.raises(GoneError), file.transaction():  # noqa: PT012 - the end of the transaction raises
        file.put(("shop", "web"), file.next_version(), '{"spec": {"holderIdentity": "lost"}}')
        path.rename(path_of_others)
    assert b"lost" not in kept.read_bytes()
    assert await store.read() == Missing()


async def test_a_file_emptied_in_place_is_a_missing_lease(path: Path) -> None:
    store, other = opened(path), opened(path)
    held = done(await store.patch(on(await record(store))))
    os.truncate(path, 0)
    assert await store.patch(on(held)) == Missing()
    assert await store.read() == Missing()
    assert int(done(await store.create(merge_patch(HELD, None))).version) > int(held.version)
    assert (await record(other)).holder == HELD.holder


async def test_a_new_files_versions_are_larger_even_if_the_wall_clock_was_set_back(path: Path) -> None:
    class SetBack(SystemClock):
        back_us = 0

        def wall_us(self) -> int:
            return super().wall_us() - self.back_us

    clock = SetBack()
    store = opened(path, clock=clock)
    held = done(await store.patch(on(await record(store))))
    path.unlink()
    clock.back_us = 10**15
    assert await store.read() == Missing()
    assert int(done(await store.create(merge_patch(HELD, None))).version) > int(held.version)


async def test_a_folder_that_is_gone_denies_a_create_and_says_so(path: Path) -> None:
    folder = path.parent / "folder"
    folder.mkdir()
    store = opened(folder / "lease.db")
    (folder / "lease.db").unlink()
    folder.rmdir()
    assert await store.read() == Missing()
    outcome = await store.create(merge_patch(HELD, None))
    assert isinstance(outcome, Denied)
    assert f"there is no folder {folder}" in outcome.message
    folder.mkdir()
    done(await store.create(merge_patch(HELD, None)))


# ---- faults ----


async def test_a_file_overwritten_with_junk_denies_everything_in_one_line_until_it_is_removed(path: Path) -> None:
    store = opened(path)
    held = done(await store.patch(on(await record(store))))
    path.write_bytes(b"junk" * 4096)
    for outcome in (await store.read(), await store.patch(on(held)), await store.create(merge_patch(HELD, None))):
        assert isinstance(outcome, Denied), outcome
        assert "remove the file" in outcome.message
        assert "\n" not in outcome.message
    async with aclosing(store.watch()) as events:
        assert [type(event) async for event in events] == [Opened, Closed]
    path.unlink()
    assert await store.read() == Missing()
    done(await store.create(merge_patch(HELD, None)))


async def test_a_full_disk_denies_a_write_and_leaves_what_stands_there(path: Path) -> None:
    store = opened(path)
    held = done(await store.patch(on(await record(store))))
    assert store._file is not None
    store._file.sql.execute("PRAGMA max_page_count = 1")  # SQLite says of it what it says of a full disk
    large = {"metadata": {"annotations": {"a": "x" * 100_000}}}
    outcome = await store.patch(large)
    assert isinstance(outcome, Denied)
    assert "full" in outcome.message
    assert await record(store) == held
    store._file.sql.execute("PRAGMA max_page_count = 1000000")
    done(await store.patch(large))


async def test_a_commit_that_fails_is_unknown_and_the_store_goes_on(path: Path) -> None:
    class Failing:
        def __init__(self, sql: sqlite3.Connection) -> None:
            self._sql = sql

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return self._sql.execute(statement, *values)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sql, name)

    store = opened(path)
    base = await record(store)
    assert store._file is not None
    store._file = LeaseFile(path, store._file.inode, Failing(store._file.sql))  # type: ignore[arg-type]
    outcome = await store.patch(on(base))
    assert isinstance(outcome, Unknown)
    assert "disk I/O error" in outcome.message
    done(await store.patch(on(await record(store))))


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "7", "[" * 100_000, '{"metadata": 1, "spec": "x"}', b"\xff\xfe", '{"metadata": {"annotations": []}}']
)
async def test_whatever_stands_in_the_row_is_read_without_an_exception(path: Path, body: str | bytes) -> None:
    store = opened(path)
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("UPDATE lease SET version = version + 1, body = CAST(? AS TEXT)", (body,))
        sql.commit()
    found = await record(store)
    assert found == replace(FREE, version=found.version)
    assert isinstance(await store.patch(on(found)), Done | Denied)


@pytest.mark.parametrize("patch", [{"a": float("nan")}, {"a": {1, 2}}, {"metadata": None}, [], None, {"metadata": {"resourceVersion": 7}}])
async def test_a_patch_that_is_none_is_refused_without_an_exception(path: Path, patch: Any) -> None:
    store = opened(path)
    before = await record(store)
    assert isinstance(await store.patch(patch), Denied | Conflict | Done)
    assert (await record(store)).holder == before.holder
    assert isinstance(await store.create(patch), Denied | Conflict)


async def test_a_patch_of_bottomless_depth_is_refused_without_an_exception(path: Path) -> None:
    store = opened(path)
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert isinstance(await store.patch(deep), Denied)
    assert isinstance(await store.read(), Done)
    while deep:  # taken apart by hand: its destructor is as deep
        deep = deep["a"]
