"""What every store does with reads and writes: the sentences that the election stands on."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from sidecar.election.record import SUCCESSOR_ANNOTATION, TERM_ANNOTATION, Record, merge_patch
from sidecar.election.store import (
    Conflict,
    Denied,
    Done,
    Missing,
    Store,
)
from tests.contract.calls import HELD, TIME_US, done, number, present, renew, watching
from tests.contract.grounds import FakeGround, Ground

# ---- reading and writing ----


async def test_the_lease_as_shipped_is_there_and_nobodys(ground: Ground) -> None:
    record = await present(await ground.store())
    assert record == Record(version=record.version)
    assert number(record) > 0


async def test_what_is_written_is_what_is_read_back_at_a_larger_version(ground: Ground) -> None:
    """Holder, duration, both times to the microsecond, transitions and the term with keys of a later version; also by another process."""
    store, other = await ground.store(), await ground.store()
    before = await present(store)
    written = done(await renew(store, on=before))
    assert written == replace(HELD, version=written.version)
    assert number(written) > number(before)
    assert await present(store) == await present(other) == written


async def test_a_write_on_a_former_version_is_a_conflict_and_changes_nothing(ground: Ground) -> None:
    store = await ground.store()
    base = await present(store)
    written = done(await renew(store, on=base))
    assert await renew(store, replace(HELD, holder="web-1_u2"), on=base) == Conflict()
    assert await present(store) == written


async def test_the_same_write_sent_twice_is_a_conflict_the_second_time(ground: Ground) -> None:
    store = await ground.store()
    base = await present(store)
    assert isinstance(await renew(store, on=base), Done)
    assert await renew(store, on=base) == Conflict()


async def test_of_two_writers_on_one_version_exactly_one_has_done_it(ground: Ground) -> None:
    stores = [await ground.store() for _ in range(4)]
    for turn in range(5):
        base = await present(stores[0])
        records = [replace(HELD, holder=f"web-{index}", transitions=turn, term=None) for index in range(4)]
        outcomes = await asyncio.gather(*(renew(store, record, on=base) for store, record in zip(stores, records, strict=True)))
        winners = [outcome.record for outcome in outcomes if isinstance(outcome, Done)]
        assert outcomes.count(Conflict()) == 3
        assert winners == [await present(stores[0])]


async def test_no_update_is_lost_among_writers_who_read_again_after_a_conflict(ground: Ground) -> None:
    stores = [await ground.store() for _ in range(3)]

    async def count(store: Store) -> None:
        for _ in range(8):
            while True:
                record = await present(store)
                if isinstance(await renew(store, replace(record, transitions=(record.transitions or 0) + 1), on=record), Done):
                    break

    async with asyncio.timeout(60):
        await asyncio.gather(*(count(store) for store in stores))
    assert (await present(stores[0])).transitions == 24


async def test_a_patch_that_changes_nothing_keeps_the_version_and_is_no_news(ground: Ground) -> None:
    store = await ground.store()
    written = done(await renew(store))
    async with watching(await ground.store()) as watch:
        assert await watch.changed() == written
        assert done(await renew(store)) == written
        later = done(await renew(store, replace(HELD, renew_time_us=TIME_US + 2)))
        assert await watch.changed() == later


async def test_what_others_have_set_survives_a_write(ground: Ground) -> None:
    """Labels, annotations, finalizers and owners: a merge patch names our fields alone."""
    owners = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d1"}]
    foreign = {"labels": {"team": "shop"}, "finalizers": ["a/b"], "ownerReferences": owners}
    texts = {"other/key": "{[", "snow": '☃\n"'}
    await ground.patch({"metadata": {**foreign, "annotations": texts}})
    store = await ground.store()
    await renew(store)
    await renew(store, replace(HELD, holder="", term=None, successor="web-1"))
    lease = await ground.lease()
    await ground.patch({"metadata": {"finalizers": None}})
    assert lease is not None
    metadata = lease["metadata"]
    assert {key: metadata[key] for key in foreign} == foreign
    assert metadata["annotations"].items() >= texts.items()
    assert metadata["annotations"][SUCCESSOR_ANNOTATION] == "web-1"


async def test_null_removes_a_field_and_an_empty_holder_is_kept_as_nobody(ground: Ground) -> None:
    store = await ground.store()
    await renew(store, replace(HELD, successor="web-1"))
    record = done(await renew(store, replace(HELD, holder="", renew_time_us=None)))
    assert (record.holder, record.renew_time_us, record.successor) == ("", None, "")
    lease = await ground.lease()
    assert lease is not None
    assert lease["spec"].get("holderIdentity") == ""
    assert "renewTime" not in lease["spec"]
    assert SUCCESSOR_ANNOTATION not in lease["metadata"]["annotations"]


# ---- missing ----


async def test_creating_a_lease_that_is_there_is_a_conflict_and_changes_nothing(ground: Ground) -> None:
    store = await ground.store()
    before = await present(store)
    assert await store.create(merge_patch(HELD, None)) == Conflict()
    assert await present(store) == before


async def test_a_deleted_lease_is_missing_to_a_read_and_to_a_patch(ground: Ground) -> None:
    store, other = await ground.store(), await ground.store()
    base = done(await renew(store))
    await ground.delete()
    assert await renew(store, on=base) == Missing()
    assert await store.read() == Missing()
    assert await other.read() == Missing()
    assert await renew(other, on=base) == Missing()
    assert await ground.lease() is None, "no patch brings it back"


async def test_a_created_lease_is_what_was_sent_at_a_version_above_all_former_ones(ground: Ground) -> None:
    store, other = await ground.store(), await ground.store()
    for _ in range(3):
        base = done(await renew(store))
        await ground.delete()
        assert await store.read() == Missing()
        created = done(await store.create(merge_patch(HELD, None)))
        assert created == replace(HELD, version=created.version)
        assert number(created) > number(base)
        assert await renew(store, on=base) == Conflict(), "a write that was decided on the former one does not land"
        assert await other.create(merge_patch(HELD, None)) == Conflict()
        assert await present(other) == await present(store) == created
        await renew(store, replace(HELD, holder="", term=None))


async def test_of_several_who_create_it_exactly_one_has_done_it(ground: Ground) -> None:
    stores = [await ground.store() for _ in range(4)]
    await ground.delete()
    outcomes = await asyncio.gather(*(store.create(merge_patch(HELD, None)) for store in stores))
    assert outcomes.count(Conflict()) == 3
    assert sum(isinstance(outcome, Done) for outcome in outcomes) == 1


# ---- what is refused, and what is not ----


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("leaseDurationSeconds", 0),
        ("leaseDurationSeconds", -1),
        ("leaseDurationSeconds", 2**31),
        ("leaseDurationSeconds", 1.5),
        ("leaseDurationSeconds", "15"),
        ("leaseDurationSeconds", True),
        ("leaseTransitions", -1),
        ("leaseTransitions", 2**31),
        ("renewTime", "2026-11-23T08:00:00Z"),
        ("renewTime", "2026-11-23T08:00:00.123Z"),
        ("renewTime", "2026-11-23T08:00:00.1234567Z"),
        ("renewTime", "2026-11-23T08:00:00.123456"),
        ("renewTime", 7),
        ("acquireTime", "2026-11-23 08:00:00.123456Z"),
        ("acquireTime", "yesterday"),
        ("holderIdentity", 7),
        ("holderIdentity", {"a": "b"}),
    ],
)
async def test_what_is_not_valid_is_denied_and_writes_nothing(ground: Ground, field: str, value: object) -> None:
    store = await ground.store()
    base = done(await renew(store))
    outcome = await store.patch({"metadata": {"resourceVersion": base.version}, "spec": {field: value}})
    assert isinstance(outcome, Denied), outcome
    assert "\n" not in outcome.message
    assert await present(store) == base
    await ground.delete()
    assert await store.read() == Missing()
    created = await store.create({"spec": {field: value}})
    assert isinstance(created, Denied), created
    assert await ground.lease() is None


async def test_annotations_up_to_256_kib_pass_and_more_are_denied(ground: Ground) -> None:
    store = await ground.store()
    await ground.patch({"metadata": {"annotations": {"other/key": "x" * (255 * 1024)}}})
    record = done(await renew(store))
    assert record == replace(HELD, version=record.version)
    async with watching(store) as watch:
        assert await watch.changed() == record
    if isinstance(ground, FakeGround):
        return  # it has no such limit
    outcome = await store.patch({"metadata": {"annotations": {"other/more": "x" * 1024}}})
    assert isinstance(outcome, Denied), outcome
    assert await present(store) == record


@pytest.mark.parametrize(
    "junk",
    [
        {"spec": None},
        {"metadata": {"annotations": {TERM_ANNOTATION: "{"}}},
        {"metadata": {"annotations": {TERM_ANNOTATION: "[" * 10_000}}},
        {"metadata": {"annotations": {TERM_ANNOTATION: "null", SUCCESSOR_ANNOTATION: ""}}},
        {"metadata": {"annotations": {TERM_ANNOTATION: json.dumps({"holder": 7, "token": "x", "process": [], "released": "no"})}}},
        {"spec": {"leaseDurationSeconds": 2**31 - 1, "leaseTransitions": 2**31 - 1, "renewTime": "0001-01-01T00:00:00.000000Z"}},
        {"spec": {"holderIdentity": "x" * 5000 + "\n\t\u2028", "acquireTime": "9999-12-31T23:59:59.999999Z"}},
        {"spec": {"renewTime": "2026-11-23T08:00:00.123456+05:45"}},
    ],
)
async def test_whatever_stands_in_the_lease_it_is_read_watched_and_written_over(ground: Ground, junk: dict[str, Any]) -> None:
    store = await ground.store()
    await renew(store)
    await ground.patch(junk)
    record = await present(store)
    async with watching(store) as watch:
        assert await watch.changed() == record
    after = done(await renew(store, on=record))
    assert after == replace(HELD, version=after.version)


# ---- cancelled calls ----


async def test_a_cancelled_call_leaves_the_store_usable_and_has_either_happened_or_not(ground: Ground) -> None:
    store = await ground.store()
    for turn in range(12):
        base = await present(store)
        call = asyncio.create_task(renew(store, replace(HELD, transitions=turn + 1), on=base))
        await asyncio.sleep(0.0007 * turn)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        again = await renew(store, replace(HELD, transitions=turn + 1, holder="web-9", term=None), on=base)
        assert again == Conflict() or done(again).holder == "web-9"
        assert (await present(store)).transitions == turn + 1
