"""The record: whatever stands in a Lease is read without an exception, and a write loses nothing of anybody else's (S10)."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.election.record import (
    MAX_DURATION_SECONDS,
    MAX_TOKEN,
    MAX_TRANSITIONS,
    STANDBY_ANNOTATION,
    SUCCESSOR_ANNOTATION,
    TERM_ANNOTATION,
    Record,
    Term,
    format_time,
    later_time_us,
    merge_patch,
    parse,
    parse_time,
)
from tests.support.merge_patch import merge

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TIMES_US = st.integers(0, 253402300799999999)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
EXTRA = st.dictionaries(TEXTS.filter(lambda key: key not in Term.__slots__), JSON_VALUES, max_size=3)
TERMS = st.builds(Term, holder=TEXTS, token=st.none() | st.integers(0, MAX_TOKEN), process=TEXTS, place=TEXTS, released=st.booleans())
RECORDS = st.builds(
    Record,
    version=st.from_regex(r"[1-9][0-9]{0,17}", fullmatch=True),
    holder=TEXTS,
    duration_seconds=st.integers(1, MAX_DURATION_SECONDS),
    acquire_time_us=st.none() | TIMES_US,
    renew_time_us=st.none() | TIMES_US,
    transitions=st.none() | st.integers(0, MAX_TRANSITIONS),
    term=st.none() | TERMS,
    successor=TEXTS,
)


def lease(*, spec: object = None, term: object = None) -> Any:
    return {"metadata": {"resourceVersion": "7", "annotations": {TERM_ANNOTATION: term}}, "spec": spec}


# ---- reading ------------------------------------------------------------------------------------------------------------------------


@given(ANYTHING)
def test_any_json_is_a_record(found: object) -> None:
    assert isinstance(parse(found), Record)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_anything_in_a_field_is_read(value: object, another: object, term: object, version: object) -> None:
    spec = dict.fromkeys(["holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"], value)
    annotations = {TERM_ANNOTATION: term, SUCCESSOR_ANNOTATION: another}
    record = parse({"metadata": {"resourceVersion": version, "annotations": annotations}, "spec": spec})
    assert record.duration_seconds is None or 0 < record.duration_seconds <= MAX_DURATION_SECONDS
    assert record.transitions is None or 0 <= record.transitions <= MAX_TRANSITIONS
    assert record.version_number is None or record.version_number >= 0
    json.dumps(merge_patch(record, "1"))


@given(st.text() | ANYTHING.map(json.dumps) | st.dictionaries(st.sampled_from(Term.__slots__), ANYTHING).map(json.dumps))
@example("[" * 100_000)
@example('{"holder": "a", "x": ' + "[" * 50_000 + "]" * 50_000 + "}")
@example('{"holder": "a", "token": 1' + "0" * 5000 + "}")
@example('{"holder": "a", "token": 1e400}')
@example('{"holder": "\\ud800"}')
def test_anything_in_the_annotation_is_read_and_what_is_read_can_be_written(annotation: str) -> None:
    record = parse(lease(term=annotation))
    assert record.term is None or isinstance(json.loads(record.term.to_json()), dict)


def test_what_can_be_read_of_a_deep_annotation_can_be_written_from_deeper_in_the_program() -> None:
    """The reader's stack is not the writer's: an annotation near the recursion limit must not end the elector (S10)."""

    def deeper(frames: int, term: Term) -> str:
        return deeper(frames - 1, term) if frames else term.to_json()

    for depth in range(100, 1100, 10):
        term = parse(lease(term='{"holder": "a", "x": ' + "[" * depth + "]" * depth + "}")).term
        if term is not None:
            assert json.loads(deeper(100, term))["holder"] == "a"


@pytest.mark.parametrize(
    "junk",
    [
        '{"holder": "a", "holder": "b"}',
        '{"holder": "a", "token": 1, "token": 2}',
        '{"holder": "a", "hold\\u0065r": "b"}',
        '{"holder": "a", "pod": {"name": "p", "uid": "u", "name": "q", "renewed": null}}',
        '{"holder": "a", "pod": {"name": "p", "uid": "u"}, "pod": null}',
        '{"holder": "a", "later": [{"x": 1, "x": 2}]}',
        '{"holder": "a", "later": NaN}',
        '{"holder": "a", "later": -Infinity}',
        '\ufeff{"holder": "a"}',
    ],
)
def test_what_two_readers_could_take_for_two_things_is_junk(junk: str) -> None:
    """A doubled name above all: the admission policy may have gone by the other one."""
    assert parse(lease(term=junk)).term is None


@pytest.mark.parametrize("junk", ['[{"a": 1, "a": 2}, "web-0_1"]', '["web-0_1", NaN]', '\ufeff["web-0_1"]', '["web-0_1"'])
def test_standbys_are_read_as_strictly(junk: str) -> None:
    assert parse({"metadata": {"annotations": {STANDBY_ANNOTATION: junk}}}).standbys == ()


def test_standbys_that_nobody_would_read_are_not_written() -> None:
    """Somebody's list may grow by its escapes when it is written anew."""
    raw = json.dumps(["é" * 500, "ü" * 500], ensure_ascii=False)
    record = parse({"metadata": {"annotations": {STANDBY_ANNOTATION: raw}}})
    assert len(record.standbys) == 2
    assert merge_patch(record, "1")["metadata"]["annotations"][STANDBY_ANNOTATION] is None


@pytest.mark.parametrize(
    ("given_seconds", "read"),
    [(None, None), (0, None), (-5, None), ("15", None), (15.0, None), (True, None), (1, 1), (15, 15), (2**31 - 1, 3600)],
)
def test_a_duration_is_a_positive_integer_and_an_hour_at_most(given_seconds: object, read: int | None) -> None:
    assert parse(lease(spec={"leaseDurationSeconds": given_seconds})).duration_seconds == read


@pytest.mark.parametrize(("found", "read"), [(2**53, 2**53), (2**53 + 1, None), (-1, None), (True, None), ("7", None), (7.0, None), (0, 0)])
def test_a_token_above_2_to_the_53_is_junk(found: object, read: int | None) -> None:
    term = parse(lease(term=json.dumps({"holder": "a", "token": found}))).term
    assert term is not None
    assert term.token == read


@pytest.mark.parametrize(
    ("found", "read"), [(0, 0), (MAX_TRANSITIONS, MAX_TRANSITIONS), (MAX_TRANSITIONS + 1, None), (-1, None), ("3", None)]
)
def test_transitions_are_an_int32(found: object, read: int | None) -> None:
    assert parse(lease(spec={"leaseTransitions": found})).transitions == read


@pytest.mark.parametrize(
    ("version", "number"), [("0", 0), ("81234", 81234), ("", None), ("v7", None), ("-1", None), ("٣", None), ("9" * 20, None)]
)
def test_a_version_that_is_no_integer_has_no_number(version: str, number: int | None) -> None:
    assert Record(version).version_number == number


def test_a_term_that_belongs_to_another_holder_gives_no_token() -> None:
    """A client-go program shares the Lease and leaves our annotation as it was (S8)."""
    record = parse(lease(spec={"holderIdentity": "client-go"}, term='{"holder": "web-0", "token": 7}'))
    assert record.token is None
    assert record.own_term is None
    assert parse(lease(spec={"holderIdentity": "web-0"}, term='{"holder": "web-0", "token": 7}')).token == 7


def test_a_release_mark_is_true_and_nothing_like_it() -> None:
    marks: list[object] = [1, "true", None, [], {}]
    for mark in marks:
        term = parse(lease(term=json.dumps({"holder": "a", "released": mark}))).term
        assert term is not None
        assert not term.released


@pytest.mark.parametrize("field", ["holder", "process", "renew_time_us", "transitions"])
def test_a_renewal_is_told_by_holder_instance_renew_time_and_transitions(field: str) -> None:
    record = Record("1", holder="a", renew_time_us=5, transitions=2, term=Term("a", process="i"), duration_seconds=15)
    other = {
        "holder": replace(record, holder="b"),
        "process": replace(record, term=Term("a", process="j")),
        "renew_time_us": replace(record, renew_time_us=6),
        "transitions": replace(record, transitions=3),
    }
    assert other[field].renewal != record.renewal
    assert replace(record, version="2", duration_seconds=1, successor="x", acquire_time_us=1).renewal == record.renewal


# ---- writing ------------------------------------------------------------------------------------------------------------------------


@given(RECORDS, EXTRA)
def test_what_is_written_is_read_back(record: Record, extra: dict[str, object]) -> None:
    if record.term is not None:
        record = replace(record, term=replace(record.term, extra=tuple((key, json.dumps(value)) for key, value in extra.items())))
    assert parse(merge({}, merge_patch(record, record.version))) == record


@given(st.dictionaries(TEXTS, ANYTHING), st.dictionaries(TEXTS, ANYTHING), st.dictionaries(TEXTS, TEXTS), RECORDS)
def test_what_others_set_stays(top: dict[str, object], spec: dict[str, object], annotations: dict[str, str], record: Record) -> None:
    """Foreign fields, annotations and labels survive every write (S10)."""
    foreign = {**top, "metadata": {"labels": {"a": "b"}, "annotations": annotations}, "spec": spec}
    before = {key: value for key, value in foreign.items() if key not in ("metadata", "spec")}
    after = merge(foreign, merge_patch(record, "5"))
    assert repr({key: value for key, value in after.items() if key not in ("metadata", "spec")}) == repr(before)
    ours = {"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"}
    assert repr({k: v for k, v in after["spec"].items() if k not in ours}) == repr({k: v for k, v in spec.items() if k not in ours})
    kept = {key: value for key, value in annotations.items() if key not in (TERM_ANNOTATION, SUCCESSOR_ANNOTATION)}
    assert kept.items() <= after["metadata"]["annotations"].items()
    assert after["metadata"]["labels"] == {"a": "b"}


def test_a_patch_is_conditional_and_touches_five_fields_and_three_annotations() -> None:
    patch = merge_patch(Record("5", holder="a", duration_seconds=15, term=Term("a")), "5")
    assert patch["metadata"]["resourceVersion"] == "5"
    assert set(patch["metadata"]) == {"resourceVersion", "annotations"}
    assert set(patch["metadata"]["annotations"]) == {TERM_ANNOTATION, SUCCESSOR_ANNOTATION, STANDBY_ANNOTATION}
    assert len(patch["spec"]) == 5


def test_a_create_carries_no_version_and_no_null_annotation() -> None:
    body = merge_patch(Record("", holder="a", term=Term("a")), None)
    assert "resourceVersion" not in body["metadata"]
    assert None not in body["metadata"]["annotations"].values()


def test_unknown_keys_of_the_annotation_are_kept_and_known_ones_win() -> None:
    """Versions N and N - 1 share a Lease during every rollout."""
    term = parse(lease(term='{"holder": "a", "token": 1, "later": {"x": [1, null]}, "more": "é"}')).term
    assert term is not None
    assert json.loads(replace(term, token=2).to_json()) == {
        "holder": "a",
        "token": 2,
        "process": "",
        "place": "",
        "released": False,
        "later": {"x": [1, None]},
        "more": "é",
    }


def test_junk_beyond_any_versions_need_is_not_carried_on() -> None:
    term = parse(lease(term=json.dumps({"holder": "a", "x": "y" * 5000}))).term
    assert term is not None
    assert term.extra == ()


# ---- times --------------------------------------------------------------------------------------------------------------------------


@given(TIMES_US)
def test_a_time_is_written_with_six_digits_in_utc_and_read_back(time_us: int) -> None:
    text = format_time(time_us)
    assert text is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert parse_time(text) == time_us


@given(st.integers())
def test_any_time_can_be_written(time_us: int) -> None:
    assert parse_time(format_time(time_us)) is not None


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    assert parse_time("2026-11-23T17:00:00.5+09:00") == parse_time("2026-11-23T08:00:00.500000Z")
    assert parse_time("1970-01-01T00:00:01Z") == 1_000_000


@pytest.mark.parametrize("junk", ["", "now", "2026-11-23", "2026-11-23T08:00:00", 5, None, [], "9" * 100, "0001-01-01T00:00:00+23:59x"])
def test_what_is_no_time_is_none(junk: object) -> None:
    assert parse_time(junk) is None


def test_any_rfc_3339_time_at_the_ends_of_the_calendar_is_read() -> None:
    assert parse_time("0001-01-01T00:00:00+23:59") is not None
    assert parse_time("9999-12-31T23:59:59.999999-23:59") is not None


@given(st.integers(0, 2**52), st.lists(st.none() | st.integers(0, 2**52)))
def test_a_renew_time_is_above_every_other(wall_us: int, others: list[int | None]) -> None:
    later = later_time_us(wall_us, *others)
    assert later >= wall_us
    assert all(other is None or later > other for other in others)


def test_at_the_end_of_the_calendar_a_renew_time_still_differs() -> None:
    end_us = parse_time("9999-12-31T23:59:59.999999Z")
    assert end_us is not None
    wall_us = (datetime(2026, 11, 23, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400_000_000
    assert later_time_us(wall_us, end_us) == wall_us
