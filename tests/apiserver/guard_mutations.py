"""Forgeries by the thousand: what an honest sidecar writes, changed at random, with a taste for what readers of JSON disagree about."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.election.record import GROUP_ANNOTATION, JSON, STANDBY_ANNOTATION, SUCCESSOR_ANNOTATION, TERM_ANNOTATION
from sidecar.features.rollout_handover import YIELDED_ANNOTATION

LETTERS: Final = '{}[]":,\\0123456789eE+-.nulltruefals \t\n\r\0\x0b\x7f\u00a0\u2028\ufeffé٣'
NUMBERS: Final = (
    "-1", "0", "00", "007", "1", "1e3", "1.0", "null", "true", '"7"', "9007199254740991", "9007199254740992", "4503599627370496", "9" * 400,
)  # fmt: skip
PIECES: Final = (
    '"holder":"web-9_1",', ',"holder":"web-9_1"', '"token":1,', ',"token":null', ',"process":"x"', ',"place":""', ',"released":true',
    ',"pod":null', ',"pod":{"name": "web-9", "uid": "1", "renewed": null}', ', "name": "web-9"', '"uid": "1", ', ',"later":1',
    '"later":{"a": [1]},', ',"h\\u006flder":"web-9_1"', "\\u0022", "\ufeff", "\0", "\n", " ", "{", "}", "[", "]", "/*x*/", ",",
)  # fmt: skip
MEMBER: Final = re.compile(r'"[a-z]+":(?:\{[^{}]*\}|"[^"]*"|[^",{}]+)')
OTHERS: Final = {
    GROUP_ANNOTATION: ("evil", "", "blue", None),
    SUCCESSOR_ANNOTATION: ("web-1", "x" * 513, "a\nb", " x", "", None),
    STANDBY_ANNOTATION: ('["web-9_1"]', "[]", "{}", "junk", '["a","a"]', '[["a"]]', '["\\u0061"]', '[1,"a"]', '"a"', None),
    YIELDED_ANNOTATION: ("{}", "x" * 2000, '{"to": "a", "revision": "b", "at": "2026-11-23T08:00:00.000000Z"}', None),
    "leader-sidecar/x": ("j", None),
    "team": ("b", None),
}
SPEC: Final[dict[str, tuple[object, ...]]] = {
    "holderIdentity": ("", "web-9_1", None, "leader-sidecar_placeholder"),
    "leaseDurationSeconds": (1, 3600, 3601, None),
    "leaseTransitions": (0, 1, 2, 3, 2**31 - 1, None),
    "renewTime": ("2026-11-23T08:00:01.000000Z", "9999-12-31T23:59:59.999999Z", None),
    "acquireTime": ("2026-11-23T08:00:01.000000Z", None),
}


def _letter(rng: random.Random, text: str, _: Sequence[str]) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(LETTERS) + text[at + rng.choice((0, 1)) :]


def _cut(rng: random.Random, text: str, _: Sequence[str]) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.randrange(1, 12) :]


def _piece(rng: random.Random, text: str, _: Sequence[str]) -> str:
    """Where a member begins or ends, mostly."""
    edges = [0, len(text), *(at for match in MEMBER.finditer(text) for at in match.span())]
    at = rng.choice(edges) if rng.random() < 0.8 else rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(PIECES) + text[at:]


def _number(rng: random.Random, text: str, _: Sequence[str]) -> str:
    near = [str(int(found) + rng.choice((-1, 0, 1, 2**31, 2**32, 2**32 + 1))) for found in re.findall(r'(?<="token":)\d+', text)]
    return re.sub(r'(?<="token":)[^,}]*', lambda _: rng.choice((*NUMBERS, *near)), text, count=1)


def _twice(rng: random.Random, text: str, known: Sequence[str]) -> str:
    """A member a second time, of its own or of another's term."""
    members = [match.group() for one in (text, *known) for match in MEMBER.finditer(one)]
    places = [match.start() for match in MEMBER.finditer(text)]
    if not members or not places:
        return text
    at = rng.choice(places)
    return text[:at] + rng.choice(members) + "," + text[at:]


def _exchanged(rng: random.Random, text: str, known: Sequence[str]) -> str:
    """A member in place of another, or those of a whole other term."""
    matches, members = list(MEMBER.finditer(text)), [match.group() for one in known for match in MEMBER.finditer(one)]
    if not matches or not members or rng.random() < 0.2:
        return rng.choice(known) if known else text
    match = rng.choice(matches)
    return text[: match.start()] + rng.choice(members) + text[match.end() :]


def _said_otherwise(rng: random.Random, text: str, _: Sequence[str]) -> str:
    """The same JSON, as another program writes it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    separators = rng.choice(((",", ":"), (", ", ": "), (" ,", " :")))
    said = json.dumps(found, separators=separators, sort_keys=rng.random() < 0.3, indent=rng.choice((None, None, 1)))
    return said if rng.random() < 0.7 else re.sub(r"[a-z]", lambda match: f"\\u{ord(match.group()):04x}", said, count=rng.randrange(1, 3))


MUTATIONS: Final[tuple[Callable[[random.Random, str, Sequence[str]], str], ...]] = (
    _letter, _letter, _cut, _piece, _piece, _piece, _number, _number, _number, _twice, _twice, _exchanged, _exchanged, _said_otherwise,
)  # fmt: skip


def mutated(rng: random.Random, body: JSON, known: Sequence[str]) -> JSON:
    """An honest write with one to three changes; `known` are other texts that stand, or could, in the annotation."""
    metadata = dict(body.get("metadata", {}))
    annotations, spec = dict(metadata.get("annotations", {})), dict(body.get("spec", {}))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.random()
        key = rng.choice((*OTHERS, STANDBY_ANNOTATION)) if kind > 0.8 else TERM_ANNOTATION
        value = annotations.get(key)
        if kind < 0.1:
            field = rng.choice(list(SPEC))
            spec[field] = rng.choice(SPEC[field])
        elif isinstance(value, str) and (key == TERM_ANNOTATION or rng.random() < 0.5):
            annotations[key] = rng.choice(MUTATIONS)(rng, value, known)
        elif key in OTHERS:
            annotations[key] = rng.choice(OTHERS[key])
    metadata["annotations"] = annotations
    return {"metadata": metadata} | ({"spec": spec} if spec else {})
