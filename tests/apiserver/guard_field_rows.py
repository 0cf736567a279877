"""The guard's table goes on: the token and the other fields of a Lease, one row or more for each rule."""

# ruff: noqa: E501 - a row of the table is a line

from collections.abc import Callable
from typing import Final

from sidecar.election.record import GROUP_ANNOTATION, JSON, STANDBY_ANNOTATION, SUCCESSOR_ANNOTATION
from sidecar.features.rollout_handover import YIELDED_ANNOTATION
from tests.apiserver.guard_rows import HOLDER, OTHER, creates, former, names, patches, renewal, standing_by, takeover, yielded
from tests.apiserver.guard_stage import JSON_PATCH, Stage, term_of, with_annotations, with_metadata, with_spec, with_term, with_token

BOUNDS: Final = "fencing token"
TERM: Final = "leader-sidecar/term"


def with_token_text(text: str, write: Callable[[Stage], JSON]) -> Callable[[Stage], JSON]:
    """That write with that text for its token."""
    return lambda there: with_token(write(there), text)


def shown(text: str) -> str:
    """For the table."""
    return f"the token `{text}`" if len(text) < 30 else f"a token of {len(text)} digits"


def listing(value: str) -> Callable[[Stage], JSON]:
    """A patch by a standby with that for a list."""
    return lambda _: standing_by(value)


def lasting(seconds: int | None) -> Callable[[Stage], JSON]:
    """A takeover for so long."""
    return lambda there: with_spec(takeover(there), leaseDurationSeconds=seconds)


def marked(change: JSON) -> Callable[[Stage], JSON]:
    """A takeover with those fields of the metadata."""
    return lambda there: with_metadata(takeover(there), **change)


TOKENS = [
    *(
        patches("held", who, shown(text), TERM, with_token_text(text, write))
        for who, write in ((HOLDER, renewal), (OTHER, takeover))
        for text in ("-1", "007", "1e3", "1.0", '"9"', "true", "[9]", "", " 9", "+9", "0x9", "9" * 400, "9" * 17, "NaN", "٣")
    ),
    *(
        patches("held", who, shown(text), BOUNDS, with_token_text(text, write))
        for who, write in ((HOLDER, renewal), (OTHER, takeover))
        for text in ("9007199254740992", "9007199254740991", "9999999999999999", "0", "1", "null")
    ),
    patches("held", HOLDER, "a smaller token than its own", BOUNDS, lambda s: with_token(renewal(s), str(former(s) - 1))),
    patches("held", OTHER, "a new term with the former holder's token", BOUNDS, lambda s: with_token(takeover(s), str(former(s)))),
    patches("held", OTHER, "a new term with a token below the resourceVersion", BOUNDS, lambda s: with_token(takeover(s), str(former(s) + 1))),
    patches("held", OTHER, "the former token + 2^32, as after a restore", "", lambda s: with_token(takeover(s), str(former(s) + 2**32))),
    patches("held", OTHER, "the former token + 2^32 + 1", BOUNDS, lambda s: with_token(takeover(s), str(former(s) + 2**32 + 1))),
    patches("held", HOLDER, "the former token + 2^32 + 1, with a renewal", BOUNDS, lambda s: with_token(renewal(s), str(former(s) + 2**32 + 1))),
    patches("emptied by an administrator", OTHER, "the token 2^32 + 1", BOUNDS, lambda s: with_token(takeover(s), str(2**32 + 1))),
    patches("emptied by an administrator", OTHER, "a token below the resourceVersion", BOUNDS, lambda s: with_token(takeover(s), "1")),
    patches("released", OTHER, "the token of the term that was released", BOUNDS, lambda s: with_token(takeover(s), str(former(s)))),
    patches("left by a client-go program", OTHER, "the token of the last term of a sidecar", BOUNDS, lambda s: with_token(takeover(s), str(former(s)))),
    patches("held by the placeholder", OTHER, "a smaller token than the placeholder keeps", BOUNDS, lambda s: with_token(takeover(s), str(former(s) - 1))),
    creates("the token 2^52 - 1", "", lambda s: s.placeholder(2**52 - 1)),
    creates("the token 2^52", BOUNDS, lambda s: s.placeholder(2**52)),
    creates("the token 0", BOUNDS, lambda s: s.placeholder(0)),
    creates("the token -1", TERM, lambda s: with_token(s.placeholder(7), "-1")),
]  # fmt: skip

ANNOTATIONS = [
    patches("held", OTHER, "another group", GROUP_ANNOTATION, lambda s: with_annotations(takeover(s), **{GROUP_ANNOTATION: "evil"})),
    patches("without a group, RoleBinding of blue", OTHER, "a group that the RoleBinding does not name", GROUP_ANNOTATION,
        lambda s: with_annotations(takeover(s), **{GROUP_ANNOTATION: "evil"})),
    patches("of the group blue", OTHER, "another group than the one in the Lease", GROUP_ANNOTATION,
        lambda s: with_annotations(takeover(s), **{GROUP_ANNOTATION: "green"})),
    patches("of the group blue", OTHER, "removes the group", GROUP_ANNOTATION, lambda s: with_annotations(takeover(s), **{GROUP_ANNOTATION: None})),
    creates("a group", GROUP_ANNOTATION, lambda s: with_annotations(s.placeholder(7), **{GROUP_ANNOTATION: "evil"})),
    patches("held", OTHER, "a successor with a new term", SUCCESSOR_ANNOTATION, lambda s: with_annotations(takeover(s), **{SUCCESSOR_ANNOTATION: "web-0"})),
    patches("held", HOLDER, "a successor with a renewal", SUCCESSOR_ANNOTATION, lambda s: with_annotations(renewal(s), **{SUCCESSOR_ANNOTATION: "web-1"})),
    patches("held", HOLDER, "a successor of 513 characters", SUCCESSOR_ANNOTATION, lambda s: s.released(s.first, "x" * 513)),
    patches("held", HOLDER, "a successor with a newline", SUCCESSOR_ANNOTATION, lambda s: s.released(s.first, "web-1\nforged: line")),
    creates("a successor", SUCCESSOR_ANNOTATION, lambda s: with_annotations(s.placeholder(7), **{SUCCESSOR_ANNOTATION: "web-1"})),
    *(
        patches("held", OTHER, f"{what} as standbys", STANDBY_ANNOTATION, listing(value))
        for what, value in {
            "only another Pod": names("web-9_1"),
            "`{}`": "{}",
            "`[1]`": "[1]",
            "an empty name": '[""]',
            "an escape": '["web-\\u0031_1"]',
            "invalid JSON": "[",
            "200,000 quotes": '"' * 200_000,
        }.items()
    ),
    patches("held", OTHER, "itself as a standby, with spaces", STANDBY_ANNOTATION, lambda s: standing_by(f'[ "{s.second.identity}" ]')),
    patches("held", OTHER, "itself as a standby nine times", STANDBY_ANNOTATION, lambda s: standing_by(names(*[s.second.identity] * 9))),
    patches("held", OTHER, "itself and another Pod as standbys", STANDBY_ANNOTATION, lambda s: standing_by(names(s.second.identity, "web-9_1"))),
    patches("held", HOLDER, "another Pod as a standby, with a renewal", STANDBY_ANNOTATION, lambda s: with_annotations(renewal(s), **{STANDBY_ANNOTATION: names("web-9_1")})),
    patches("held", OTHER, "itself as a standby, and a shorter lease duration", "holderIdentity", lambda s: with_spec(standing_by(names(s.second.identity)), leaseDurationSeconds=1)),
    patches("held", OTHER, "itself as a standby, and a successor", "holderIdentity",
        lambda s: with_annotations(standing_by(names(s.second.identity)), **{SUCCESSOR_ANNOTATION: "web-1"})),
    patches("held", OTHER, "itself as a standby, and removes the term", "holderIdentity", lambda s: with_term(standing_by(names(s.second.identity)), None)),
    patches("two standbys", OTHER, "removes another standby", "", lambda s: standing_by(names(s.second.identity))),
    patches("two standbys", OTHER, "removes itself", "", lambda _: standing_by(names("web-2_u2"))),
    patches("two standbys", HOLDER, "keeps both standbys", "", renewal),
    patches("two standbys", OTHER, "takes the Lease and removes itself and the standbys before it", "", takeover),
    patches("with invalid standbys", HOLDER, "keeps the valid standbys", "", renewal),
    patches("with invalid standbys", HOLDER, "standbys of more than 4,096 characters", STANDBY_ANNOTATION,
        lambda s: with_annotations(renewal(s), **{STANDBY_ANNOTATION: names(*["x" * 600] * 7)})),
    creates("standbys", STANDBY_ANNOTATION, lambda s: with_annotations(s.placeholder(7), **{STANDBY_ANNOTATION: names(s.second.identity)})),
    patches("held", OTHER, "leader-sidecar/yielded, written by a Pod that is not the holder", "holderIdentity", lambda _: yielded()),
    patches("held", HOLDER, "an invalid leader-sidecar/yielded", YIELDED_ANNOTATION, lambda s: with_annotations(renewal(s), **{YIELDED_ANNOTATION: "x"})),
    patches("held", HOLDER, "leader-sidecar/yielded with an unknown member", YIELDED_ANNOTATION, lambda _: yielded(more="x")),
    patches("held", HOLDER, "leader-sidecar/yielded of 2,000 characters", YIELDED_ANNOTATION, lambda _: yielded(revision="x" * 2000)),
    patches("with leader-sidecar/yielded", HOLDER, "removes leader-sidecar/yielded", YIELDED_ANNOTATION, lambda s: with_annotations(renewal(s), **{YIELDED_ANNOTATION: None})),
    patches("with leader-sidecar/yielded", OTHER, "takes it, and the annotation stays", "", takeover),
    patches("held", OTHER, "an unknown annotation, leader-sidecar/x", "annotations", lambda s: with_annotations(takeover(s), **{"leader-sidecar/x": "j"})),
    patches("held", OTHER, "leader-sidecar/x of 260,000 characters", "annotations", lambda s: with_annotations(takeover(s), **{"leader-sidecar/x": "j" * 260_000})),
    patches("held", OTHER, "5,000 unknown annotations", "annotations", lambda s: with_annotations(takeover(s), **{f"leader-sidecar/a{n}": "" for n in range(5000)})),
    patches("held", OTHER, "an annotation of others, changed", "annotations", lambda s: with_annotations(takeover(s), team="b")),
    patches("held", OTHER, "an annotation of others, removed", "annotations", lambda s: with_annotations(takeover(s), team=None)),
    patches("held", OTHER, "an annotation of others, added", "annotations", lambda s: with_annotations(takeover(s), more="b")),
    patches("held", OTHER, "all annotations removed", "holderIdentity", lambda _: {"metadata": {"annotations": None}}),
    patches("of 3,000 annotations of others", OTHER, "takes it", "", takeover),
    creates("an annotation of others", "annotations", lambda s: with_annotations(s.placeholder(7), team="a")),
]  # fmt: skip

CHANGES: Final[dict[str, JSON]] = {
    "a label": {"labels": {"team": "b"}},
    "all labels": {"labels": None},
    "finalizers": {"finalizers": ["example.com/held"]},
    "owners": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": "u"}]},
    "generateName": {"generateName": "x-"},
}

FIELDS = [
    *(
        patches("held", OTHER, f"a lease duration of {seconds or 'null'}", "leaseDurationSeconds", lasting(seconds))
        for seconds in (3601, 2**31 - 1, None)
    ),
    patches("held", OTHER, "a lease duration of 3600", "", lambda s: with_spec(takeover(s), leaseDurationSeconds=3600)),
    creates("a lease duration of 2^31 - 1", "leaseDurationSeconds", lambda s: with_spec(s.placeholder(7), leaseDurationSeconds=2**31 - 1)),
    patches("held", OTHER, "transitions + 2", "leaseTransitions", lambda s: with_spec(takeover(s), leaseTransitions=(s.record.transitions or 0) + 2)),
    patches("held", OTHER, "2^31 - 1 transitions", "leaseTransitions", lambda s: with_spec(takeover(s), leaseTransitions=2**31 - 1)),
    patches("left by a client-go program", OTHER, "fewer transitions", "leaseTransitions", lambda s: with_spec(takeover(s), leaseTransitions=0)),
    patches("held", OTHER, "no transitions", "leaseTransitions", lambda s: with_spec(takeover(s), leaseTransitions=None)),
    patches("emptied by an administrator", OTHER, "1 for the first transition", "leaseTransitions", lambda s: with_spec(takeover(s), leaseTransitions=1)),
    patches("held", OTHER, "no renewTime", "renewTime",
        lambda s: with_spec(with_term(takeover(s), term_of(takeover(s)).partition(',"pod"')[0] + "}"), renewTime=None)),
    patches("held", OTHER, "no acquireTime", "acquireTime", lambda s: with_spec(takeover(s), acquireTime=None)),
    creates("no renewTime", "renewTime", lambda s: with_spec(s.placeholder(7), renewTime=None)),
    creates("no acquireTime", "acquireTime", lambda s: with_spec(s.placeholder(7), acquireTime=None)),
    *(
        patches("held", OTHER, f"{what}, changed", "labels, owners", marked(change))
        for what, change in CHANGES.items()
    ),
    patches("held", OTHER, "a label by a JSON patch", "labels, owners", lambda _: [{"op": "add", "path": "/metadata/labels/more", "value": "x"}], JSON_PATCH),
    creates("a label", "labels, owners", lambda s: with_metadata(s.placeholder(7), labels={"a": "b"})),
    creates("a finalizer", "labels, owners", lambda s: with_metadata(s.placeholder(7), finalizers=["example.com/held"])),
]  # fmt: skip
