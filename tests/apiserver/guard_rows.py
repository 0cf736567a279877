"""The guard's table: who writes what to a Lease, and whether it is allowed. docs/reference/admission-policy.md shows it; test_guard_table.py tries each row."""

# ruff: noqa: E501 - a row of the table is a line

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sidecar.election.record import GROUP_ANNOTATION, JSON, PLACEHOLDER, STANDBY_ANNOTATION
from sidecar.features.rollout_handover import YIELDED_ANNOTATION
from tests.apiserver.guard_stage import (
    APPLY,
    JSON_PATCH,
    PUT,
    STRATEGIC,
    Stage,
    as_object,
    term_of,
    token_of,
    unconditional,
    with_annotations,
    with_metadata,
    with_spec,
    with_term,
    with_token,
)
from tests.apiserver.kustomized import MERGE, BoundPod

HOLDER: Final = "the holder"
OTHER: Final = "another Pod"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    where: str
    """The state of the Lease."""
    who: str
    what: str
    refused: str
    """What the refusal says among others; "" where it is allowed."""
    ask: Callable[[Stage], tuple[int, JSON]]


def _by(there: Stage, who: str) -> BoundPod:
    return there.first if who == HOLDER else there.second


def patches(  # noqa: PLR0913, PLR0917 - the columns of the table
    where: str, who: str, what: str, refused: str, body: Callable[[Stage], Any], kind: str = MERGE
) -> Row:
    """A patch of the Lease."""
    return Row(where, who, what, refused, lambda there: there.ask(_by(there, who), body(there), kind))


def creates(what: str, refused: str, body: Callable[[Stage], JSON]) -> Row:
    """A create of the missing Lease."""
    return Row("missing", OTHER, what, refused, lambda there: there.ask(there.second, body(there), PUT, method="POST"))


def puts(who: str, what: str, refused: str, body: Callable[[Stage], JSON]) -> Row:
    """A PUT of the Lease."""
    return Row("held", who, what, refused, lambda there: there.ask(_by(there, who), body(there), PUT, method="PUT"))


def renewal(there: Stage) -> JSON:
    """By web-0."""
    return there.renewed(there.first)


def takeover(there: Stage) -> JSON:
    """By web-1."""
    return there.acquired(there.second)


def names(*identities: str) -> str:
    """A list of standbys."""
    return json.dumps(identities, separators=(",", ":"))


def standing_by(value: str | None) -> JSON:
    """A patch by a standby."""
    return {"metadata": {"annotations": {STANDBY_ANNOTATION: value}}}


def yielded(**more: str) -> JSON:
    """A note of yielding."""
    note = {"to": "web-1", "revision": "Deployment/0b1c/7", "at": "2026-11-23T08:00:00.000000Z"} | more
    return {"metadata": {"annotations": {YIELDED_ANNOTATION: json.dumps(note)}}}


def former(there: Stage) -> int:
    """The token that stands there."""
    token = token_of(there.record)
    assert token is not None
    return token


def with_text(value: str | None) -> Callable[[Stage], JSON]:
    """The holder's renewal with that for its term."""
    return lambda there: with_term(renewal(there), value)


def edited(there: Stage, old: str, new: str) -> JSON:
    """The holder's renewal with something else in its term."""
    text = term_of(renewal(there))
    assert old in text, (old, text)
    return with_term(renewal(there), text.replace(old, new, 1))


def unbound(where: str, what: str, refused: str, ask: Callable[[Stage, BoundPod], tuple[int, JSON]]) -> Row:
    """What a token of the account does that is bound to no Pod."""
    return Row(where, "a token bound to no Pod", what, refused, lambda there: ask(there, there.unbound()))


HONEST = [
    patches("held", HOLDER, "renews its term", "", renewal),
    patches("held", HOLDER, "releases it", "", lambda s: s.released(s.first)),
    patches("held", HOLDER, "releases it for a successor", "", lambda s: s.released(s.first, "web-1")),
    patches("held", HOLDER, "writes leader-sidecar/yielded", "", lambda _: yielded()),
    patches("held", HOLDER, "starts a new term", "", lambda s: s.acquired(s.first)),
    patches("held", OTHER, "takes it, a new term. The election decides when; the policy does not", "", takeover),
    patches("held", OTHER, "stands by", "", lambda s: standing_by(names(s.second.identity))),
    patches("held", OTHER, "patches nothing", "", lambda _: {}),
    patches("left by a client-go program", OTHER, "takes it", "", takeover),
    patches("emptied by an administrator", OTHER, "takes it", "", takeover),
    patches("emptied by an administrator", OTHER, "takes it with the token after one that it remembers from before a restore of etcd", "",
        lambda s: with_token(takeover(s), str(10**9))),
    patches("released", OTHER, "takes it", "", takeover),
    patches("held by the placeholder", HOLDER, "claims its term back", "", lambda s: s.renewed(s.first, former(s))),
    patches("held by the placeholder", OTHER, "takes it when the placeholder has run out", "", takeover),
    patches("with an invalid token", HOLDER, "renews its term", "", lambda s: s.renewed(s.first, 9)),
    creates("recreates it, held by the placeholder", "", lambda s: s.placeholder(7)),
    creates("recreates it without a token, because it has seen none", "", lambda s: s.placeholder()),
    patches("without a group, RoleBinding of blue", OTHER, "writes the group blue into a Lease without a group", "",
        lambda s: with_annotations(takeover(s), **{GROUP_ANNOTATION: "blue"})),
]  # fmt: skip

HOLDERS = [
    patches("held", OTHER, "the identity of the other Pod as holder", "holderIdentity", lambda s: with_spec(takeover(s), holderIdentity=s.first.identity)),
    patches("held", OTHER, "its own name with the other's uid", "holderIdentity",
        lambda s: with_spec(takeover(s), holderIdentity=f"{s.second.name}_{s.first.uid}")),
    patches("held", OTHER, "the other's name with its own uid", "holderIdentity",
        lambda s: with_spec(takeover(s), holderIdentity=f"{s.first.name}_{s.second.uid}")),
    patches("held", OTHER, "its identity with one more letter", "holderIdentity", lambda s: with_spec(takeover(s), holderIdentity=s.second.identity + "x")),
    patches("held", OTHER, "its name without the uid", "holderIdentity", lambda s: with_spec(takeover(s), holderIdentity=s.second.name)),
    patches("held", OTHER, "the placeholder's identity", "holderIdentity", lambda s: with_spec(takeover(s), holderIdentity=PLACEHOLDER)),
    patches("held", OTHER, "a release of a Lease that another Pod holds", "holderIdentity", lambda s: s.released(s.second)),
    patches("held", OTHER, "no holder", "holderIdentity", lambda _: {"spec": {"holderIdentity": None}}),
    patches("held", OTHER, "no spec", "holderIdentity", lambda _: {"spec": None}),
    patches("released", OTHER, "a release of a Lease without a holder", "holderIdentity", lambda s: s.released(s.second)),
    patches("held by the placeholder", OTHER, "an empty holder in place of the placeholder", "holderIdentity", lambda s: s.released(s.second)),
    patches("held", OTHER, "another holder by a JSON patch", "holderIdentity",
        lambda s: [{"op": "replace", "path": "/spec/holderIdentity", "value": s.second.identity + "x"}], JSON_PATCH),
    patches("held", OTHER, "a replaced Lease, by a JSON patch", "holderIdentity",
        lambda s: [{"op": "replace", "path": "", "value": with_spec(s.lease, holderIdentity="x")}], JSON_PATCH),
    patches("held", OTHER, "another holder by a strategic merge patch", "holderIdentity",
        lambda _: {"spec": {"$patch": "replace", "holderIdentity": "x"}}, STRATEGIC),
    patches("held", OTHER, "another holder by server-side apply, forced", "holderIdentity",
        lambda _: {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "web"}, "spec": {"holderIdentity": "x"}}, APPLY),
    puts(OTHER, "another holder by a PUT", "holderIdentity", lambda s: with_spec(s.lease, holderIdentity="x")),
    puts(OTHER, "the allowed fields, by a PUT", "", lambda s: as_object(takeover(s), s.lease)),
    patches("held", OTHER, "the allowed fields, by a JSON patch", "", lambda s: [
        {"op": "replace", "path": f"/{part}", "value": as_object(unconditional(takeover(s)), s.lease)[part]} for part in ("metadata", "spec")
    ], JSON_PATCH),
    patches("held", OTHER, "the allowed fields, by a strategic merge patch", "", takeover, STRATEGIC),
    unbound("held", "takes it under a Pod's identity", "not bound to a Pod", lambda s, by: s.ask(by, takeover(s))),
    unbound("held", "takes it under an identity of no Pod", "not bound to a Pod", lambda s, by: s.ask(by, with_spec(takeover(s), holderIdentity="_"))),
    unbound("held", "patches nothing", "not bound to a Pod", lambda s, by: s.ask(by, {})),
    unbound("held", "a Pod's label", "only the Pod", lambda s, by: s.ask(by, {"metadata": {"labels": {"leader-sidecar/role": "leader"}}}, path=s.pods(by))),
    unbound("missing", "recreates it, held by the placeholder", "not bound to a Pod", lambda s, by: s.ask(by, s.placeholder(7), PUT, method="POST")),
    creates("a Lease of another name", "only the Lease", lambda s: with_metadata(s.placeholder(7), name="other")),
    creates("a Lease with generateName", "only the Lease", lambda s: with_metadata(s.placeholder(7), name=None, generateName="web")),
    creates("its own identity as holder", "holderIdentity", lambda s: with_spec(s.placeholder(7), holderIdentity=s.second.identity)),
    creates("no holder", "holderIdentity", lambda s: with_spec(s.placeholder(7), holderIdentity="")),
]  # fmt: skip

_DOUBLED = '"pod":{"name": "web-0", "uid": "%s", "name": "web-1", "uid": "%s"'

TERMS = [
    *(
        patches("held", HOLDER, f"`{value}` as the term", "leader-sidecar/term", with_text(value))
        for value in ("", "{}", "null", "[]", '""', "7")
    ),
    patches("held", HOLDER, "no term", "leader-sidecar/term", lambda s: with_term(renewal(s), None)),
    patches("held", HOLDER, "the term of the other Pod", "leader-sidecar/term", lambda s: with_term(renewal(s), term_of(takeover(s)))),
    patches("held", HOLDER, "a term in a list", "leader-sidecar/term", lambda s: with_term(renewal(s), f"[{term_of(renewal(s))}]")),
    patches("held", HOLDER, "a BOM before the JSON", "leader-sidecar/term", lambda s: with_term(renewal(s), "\ufeff" + term_of(renewal(s)))),
    patches("held", HOLDER, "a space before the JSON", "leader-sidecar/term", lambda s: with_term(renewal(s), " " + term_of(renewal(s)))),
    patches("held", HOLDER, "a newline after the JSON", "leader-sidecar/term", lambda s: with_term(renewal(s), term_of(renewal(s)) + "\n")),
    patches("held", HOLDER, "a NUL after the JSON", "leader-sidecar/term", lambda s: with_term(renewal(s), term_of(renewal(s)) + "\0")),
    patches("held", HOLDER, "a second object after the JSON", "leader-sidecar/term", lambda s: with_term(renewal(s), term_of(renewal(s)) + "{}")),
    patches("held", HOLDER, "spaces between members", "leader-sidecar/term", lambda s: edited(s, ',"token"', ', "token"')),
    patches("held", HOLDER, "members in another order", "leader-sidecar/term",
        lambda s: with_term(renewal(s), json.dumps(dict(reversed(json.loads(term_of(renewal(s))).items())), separators=(",", ":")))),
    patches("held", HOLDER, "a second holder after its own", "leader-sidecar/term", lambda s: edited(s, ',"token"', f',"holder":"{s.second.identity}","token"')),
    patches("held", HOLDER, "another holder before its own", "leader-sidecar/term", lambda s: edited(s, "{", f'{{"holder":"{s.second.identity}",')),
    patches("held", HOLDER, "another holder, with an escape in the key", "leader-sidecar/term",
        lambda s: edited(s, ',"token"', f',"h\\u006flder":"{s.second.identity}","token"')),
    patches("held", HOLDER, "its own holder in a member of another's term", "leader-sidecar/term",
        lambda s: with_term(renewal(s), f'{{"holder":"{s.second.identity}","x":{term_of(renewal(s))}}}')),
    patches("held", HOLDER, "a second token", "leader-sidecar/term", lambda s: edited(s, ',"process"', ',"token":1,"process"')),
    patches("held", HOLDER, "`released` twice", "leader-sidecar/term", lambda s: edited(s, ',"released":false', ',"released":false,"released":true')),
    patches("held", HOLDER, "an unknown member at the beginning", "leader-sidecar/term", lambda s: edited(s, "{", '{"later":1,')),
    patches("held", HOLDER, "an unknown member at the end", "leader-sidecar/term", lambda s: with_term(renewal(s), term_of(renewal(s))[:-1] + ',"later":{"a":[1]}}')),
    patches("held", HOLDER, "a known member in capitals", "leader-sidecar/term", lambda s: edited(s, ',"process"', ',"TOKEN":1,"process"')),
    patches("held", HOLDER, "a process of 65 characters", "leader-sidecar/term", lambda s: edited(s, '"process":"', '"process":"' + "0" * 49)),
    patches("held", HOLDER, "a place of 129 characters", "leader-sidecar/term", lambda s: edited(s, '"place":"', '"place":"' + "0" * 129)),
    patches("held", HOLDER, "an escape in the place", "leader-sidecar/term", lambda s: edited(s, '"place":"', '"place":"\\n')),
    patches("held", HOLDER, "a number as the process", "leader-sidecar/term", lambda s: edited(s, '"process":"', '"process":7,"x":"')),
    patches("held", HOLDER, "`released: true` while it holds", "leader-sidecar/term", lambda s: edited(s, '"released":false', '"released":true')),
    patches("held", HOLDER, "a release without `released: true`", "leader-sidecar/term",
        lambda s: with_term(s.released(s.first), term_of(s.released(s.first)).replace("true", "false"))),
    patches("held", HOLDER, "`1` as `released`", "leader-sidecar/term",
        lambda s: with_term(s.released(s.first), term_of(s.released(s.first)).replace("true", "1"))),
    patches("held", HOLDER, "a release that names a Pod", "leader-sidecar/term",
        lambda s: with_term(s.released(s.first), term_of(renewal(s)).replace('"released":false', '"released":true'))),
    patches("held", HOLDER, "a place of 200,000 characters", "leader-sidecar/term", lambda s: edited(s, '"place":"', '"place":"' + "0" * 200_000)),
    patches("held", HOLDER, "the uid of another Pod", "leader-sidecar/term", lambda s: edited(s, s.first.uid + '", "r', s.second.uid + '", "r')),
    patches("held", HOLDER, "duplicate keys in the Pod", "leader-sidecar/term",
        lambda s: edited(s, f'"pod":{{"name": "web-0", "uid": "{s.first.uid}"', _DOUBLED % (s.first.uid, s.second.uid))),
    patches("held", HOLDER, "a second Pod", "leader-sidecar/term", lambda s: with_term(renewal(s), term_of(renewal(s))[:-1] + ',"pod":null}')),
    patches("held", HOLDER, "an unknown member of the Pod", "leader-sidecar/term", lambda s: edited(s, '"renewed"', '"x": 1, "renewed"')),
    patches("held", HOLDER, "its Pod with the time of another write", "leader-sidecar/term",
        lambda s: with_spec(renewal(s), renewTime="2026-11-23T08:00:01.000000Z")),
    patches("held", HOLDER, "a term without its Pod, as without POD_UID", "",
        lambda s: with_term(renewal(s), term_of(renewal(s)).partition(',"pod"')[0] + "}")),
    creates("its own identity in the term", "leader-sidecar/term", lambda s: with_term(s.placeholder(7), term_of(s.placeholder(7)).replace(PLACEHOLDER, s.second.identity))),
    creates("no term", "leader-sidecar/term", lambda s: with_metadata(s.placeholder(7), annotations={})),
    creates("a Pod in the placeholder's term", "leader-sidecar/term",
        lambda s: with_term(s.placeholder(7), term_of(s.placeholder(7))[:-1] + f',"pod":{{"name": "web-1", "uid": "{s.second.uid}", "renewed": null}}}}')),
]  # fmt: skip
