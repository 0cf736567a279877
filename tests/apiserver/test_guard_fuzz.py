"""The guard and the parser read one thing: whatever the policy lets through, the sidecar reads as the policy understood it.

Server dry runs on a real API server, of honest writes changed at random (guard_mutations.py); GUARD_FUZZ says how many.
"""

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from sidecar.election.record import (
    GROUP_ANNOTATION,
    JSON,
    MAX_DURATION_SECONDS,
    MAX_TOKEN,
    PLACEHOLDER,
    STANDBY_ANNOTATION,
    SUCCESSOR_ANNOTATION,
    TERM_ANNOTATION,
    HolderPod,
    Record,
    parse,
    standby_patch,
)
from sidecar.features.rollout_handover import YIELDED_ANNOTATION
from sidecar.json_values import strict_loads
from tests.apiserver import guard_stage
from tests.apiserver.guard_mutations import mutated
from tests.apiserver.guard_stage import PUT, Stage, token_of
from tests.apiserver.guarded import GUARD
from tests.apiserver.kustomized import MERGE, BoundPod
from tests.apiserver.server import ApiServer
from tests.support.share import first

COUNT = int(os.environ.get("GUARD_FUZZ", "600"))
SEED = int(os.environ.get("GUARD_FUZZ_SEED", "1"))
OURS = {TERM_ANNOTATION, SUCCESSOR_ANNOTATION, GROUP_ANNOTATION, STANDBY_ANNOTATION, YIELDED_ANNOTATION}


def annotations(lease: JSON) -> JSON:
    """All of them."""
    return dict(lease.get("metadata", {}).get("annotations", {}))


def parts(text: str) -> set[object]:
    """The items of a list, the names of an object."""
    found = strict_loads(text)
    assert isinstance(found, list | dict)
    return {*found}


def is_stand_by(before: JSON, after: JSON) -> bool:
    """Whether nothing but the stand-bys was written."""
    ours, theirs = annotations(after), annotations(before)
    same = all(ours.get(key) == theirs.get(key) for key in {*ours, *theirs} - {STANDBY_ANNOTATION})
    return bool(before) and same and after.get("spec") == before.get("spec")


def misread(pod: BoundPod, before: JSON, after: JSON) -> list[str]:
    """What of a write that was let through the sidecar reads otherwise than the guard says it is."""
    record, was = parse(after), parse(before)
    ours, theirs = annotations(after), annotations(before)
    said, standbys = ours.get(STANDBY_ANNOTATION), {*record.standbys}
    checks = {
        "annotations of others": all(ours.get(key) == theirs.get(key) for key in {*ours, *theirs} - OURS),
        "stand-bys": said == theirs.get(STANDBY_ANNOTATION) or not said or parts(said) - {record.holder} == standbys,
        "whose stand-bys": standbys <= {*was.standbys, pod.identity},
    }
    if not is_stand_by(before, after):
        checks |= of_the_holder(pod, record, was, ours.get(TERM_ANNOTATION), creates=not before)
        note = ours.get(YIELDED_ANNOTATION, "")
        checks["yielded"] = note == theirs.get(YIELDED_ANNOTATION, "") or parts(note) == {"to", "revision", "at"}
    return [what for what, right in checks.items() if not right]


def of_the_holder(pod: BoundPod, record: Record, was: Record, text: str | None, *, creates: bool) -> dict[str, bool]:
    """Holder, term, token and times."""
    term, former = record.term, token_of(was) or 0
    writer = PLACEHOLDER if creates else pod.identity
    if term is None:
        return {"no term": False}
    token = term.token if term.token is not None else -1
    most = max(former + 2**32, (was.version_number or 0) + 2**31)
    bounds = token < 2**52 if creates else former <= token <= most and 0 < token < MAX_TOKEN
    own = was.holder in {term.holder, PLACEHOLDER} or (was.term is not None and was.term.holder == term.holder)
    return {
        "holder": record.holder == writer or (record.holder == "" and was.holder == writer and not creates),
        "term's holder": term.holder == writer,
        "text": term.to_json() == text,
        "members": not term.extra,
        "token": bounds and (token > former or own or creates),
        "released": term.released == (record.holder == ""),
        "pod": term.pod in (None, HolderPod(pod.name, pod.uid, record.renew_time_us)) and (term.pod is None or not creates),
        "own token": record.holder == "" or record.token == term.token,
        "duration": record.duration_seconds is not None and 1 <= record.duration_seconds <= MAX_DURATION_SECONDS,
        "times": record.renew_time_us is not None and (record.acquire_time_us is not None or was.acquire_time_us is None),
        "successor": record.successor == "" or record.holder == "",
        "group": record.group == was.group,
    }


STATES = {
    "held": lambda there: there.administer(standby_patch(("web-8_8",), there.record.version)),
    "released": guard_stage.released,
    "behind the placeholder": guard_stage.behind_a_placeholder,
    "emptied": guard_stage.emptied,
    "missing": guard_stage.missing,
}


def honest(there: Stage, state: str) -> list[tuple[BoundPod, JSON]]:
    """What some sidecar could write there."""
    first, second = there.first, there.second
    if state == "missing":
        return [(second, there.placeholder(token)) for token in (None, 7)]
    takes = [(second, there.acquired(second))]
    if state != "held":
        return takes
    stands_by = standby_patch((*there.record.standbys, second.identity), there.record.version)
    return [*takes, (second, stands_by), *((first, write(first)) for write in (there.renewed, there.released, there.acquired))]


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("count", first([COUNT // 2, COUNT]))
def test_what_the_policy_allows_the_parser_reads_as_the_policy_did(apiserver: ApiServer, tmp_path: Path, count: int) -> None:
    """And what an honest sidecar writes it allows, in each state of the Lease."""
    rng, told = random.Random(SEED), Counter[str]()
    stages = {state: guard_stage.stage(apiserver, tmp_path / state, prepare) for state, prepare in STATES.items()}
    leases = {state: there.lease for state, there in stages.items()}  # dry runs leave them as they are
    writes = {state: honest(there, state) for state, there in stages.items()}
    terms = [guard_stage.term_of(body) for _, body in writes["held"] if TERM_ANNOTATION in annotations(body)]
    for number in range(count):
        state = rng.choice((*STATES, "held", "held"))
        there, (pod, body) = stages[state], rng.choice(writes[state])
        changed = mutated(rng, body, terms) if number % 20 else body
        method, kind = ("POST", PUT) if state == "missing" else ("PATCH", MERGE)
        status, found = there.ask(pod, changed, kind, method=method)
        told["allowed" if status in (200, 201) else "refused" if status == 403 else f"{status}"] += 1
        assert status in (200, 201) or changed != body, found
        assert status != 403 or GUARD in found["message"], found
        if status in (200, 201):
            wrong = misread(pod, leases[state], found)
            assert not wrong, f"{wrong}: {changed} over {leases[state]}"
    print(f"{count} writes with seed {SEED}: {dict(told)}, no disagreement")
    assert told["allowed"] > count / 20
    assert told["refused"] > count / 3
