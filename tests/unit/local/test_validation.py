"""Merge patches as RFC 7386 has them, and Leases that an API server would refuse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.local.validation import MAX_ANNOTATION_BYTES, complaint, merged

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "spec", "annotations", "a", "b"]), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_the_rfc_says(target: Any, patch: Any, result: Any) -> None:
    """The cases of RFC 7386, appendix A."""
    assert merged(target, patch) == result


@given(VALUES, VALUES)
def test_a_patch_applied_twice_is_applied_once_and_leaves_its_arguments_alone(target: Any, patch: Any) -> None:
    before = repr((target, patch))
    once = merged(target, patch)
    assert merged(once, patch) == once
    assert repr((target, patch)) == before


@given(VALUES)
def test_any_json_is_judged_without_an_exception(lease: Any) -> None:
    assert isinstance(complaint(lease, "shop", "web"), str)


@pytest.mark.parametrize(
    "lease",
    [
        {},
        {"metadata": {"name": "web", "namespace": "shop", "annotations": {"a": "x" * (MAX_ANNOTATION_BYTES - 1)}}},
        {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 0, "renewTime": "2026-11-23T08:00:00.000000Z"}},
        {"spec": {"holderIdentity": None, "leaseDurationSeconds": None, "leaseTransitions": 2**31 - 1, "acquireTime": None}},
        {"spec": {"renewTime": "2026-11-23T08:00:00.123456-05:30"}},
    ],
)
def test_what_an_api_server_takes_is_taken(lease: Any) -> None:
    assert complaint(lease, "shop", "web") == ""


@pytest.mark.parametrize(
    ("lease", "named"),
    [
        ([], "object"),
        ({"spec": []}, "spec"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {"name": "other"}}, "metadata.name"),
        ({"metadata": {"namespace": "other"}}, "metadata.namespace"),
        ({"metadata": {"annotations": {"a": 1}}}, "metadata.annotations"),
        ({"metadata": {"labels": ["a"]}}, "metadata.labels"),
        ({"metadata": {"annotations": {"a": "x" * MAX_ANNOTATION_BYTES}}}, f"{MAX_ANNOTATION_BYTES + 1} bytes"),
        ({"spec": {"leaseDurationSeconds": 0}}, "spec.leaseDurationSeconds is 0"),
        ({"spec": {"leaseTransitions": -1}}, "spec.leaseTransitions is -1"),
        ({"spec": {"renewTime": "2026-02-30T08:00:00.000000Z"}}, "spec.renewTime"),
        ({"spec": {"renewTime": "x" * 10_000}}, "spec.renewTime"),
        ({"spec": {"holderIdentity": False}}, "spec.holderIdentity"),
    ],
)
def test_what_an_api_server_refuses_is_refused_by_name(lease: Any, named: str) -> None:
    said = complaint(lease, "shop", "web")
    assert named in said
    assert len(said) < 200
