"""An API server that changes what is written: a mutating admission webhook, in force for each write of a run or from some moment on (S3).

Where it shortens the duration and begins in the middle of a run, S1 holds as long as the answers arrive: so nothing else happens around
that moment. No rule covers two cases (docs/rules.md#outside-the-guarantees): a deadline that was given before, and a change in a write
whose answer is lost.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from math import ceil

from sidecar.election.record import JSON
from tests.simulation.schedule import Schedule, Step

Admit = Callable[[JSON], JSON]
SHARE = 0.06
"""Of all schedules."""
QUIET_LEASES = 3
"""Before it begins, and after: longer than any message or pause lasts."""


def _duration(share: float) -> Callable[[int], Admit]:
    def of(lease_seconds: int) -> Admit:
        def admit(lease: JSON) -> JSON:
            if lease["spec"].get("holderIdentity"):
                lease["spec"]["leaseDurationSeconds"] = max(1, ceil(lease_seconds * share))
            return lease

        return admit

    return of


def _rounded(digits: int) -> Callable[[int], Admit]:
    whole = len("2026-11-23T08:00:00.")

    def admit(lease: JSON) -> JSON:
        for field in ("renewTime", "acquireTime"):
            if isinstance(time := lease["spec"].get(field), str):
                lease["spec"][field] = f"{time[: whole + digits]}{'0' * (6 - digits)}Z"
        return lease

    return lambda _: admit


def _no_annotations(lease: JSON) -> JSON:
    annotations = lease["metadata"].get("annotations", {})
    kept = {key: value for key, value in annotations.items() if not key.startswith("leader-sidecar/")}
    return lease | {"metadata": lease["metadata"] | {"annotations": kept}}


def _another_holder(lease: JSON) -> JSON:
    if lease["spec"].get("holderIdentity"):
        lease["spec"]["holderIdentity"] = "somebody"
    return lease


def _a_field(lease: JSON) -> JSON:
    lease["spec"]["strategy"] = "OldestEmulationVersion"
    return lease | {"metadata": lease["metadata"] | {"labels": {"team": "shop"}}}


KINDS: dict[str, Callable[[int], Admit]] = {
    "much shorter": _duration(0.2),
    "shorter": _duration(0.4),
    "a little shorter": _duration(0.8),
    "longer": _duration(2),
    "no annotations": lambda _: _no_annotations,
    "times in seconds": _rounded(0),
    "times in milliseconds": _rounded(3),
    "another holder": lambda _: _another_holder,
    "a field added": lambda _: _a_field,
}
"""By the duration that the group is set to."""


def webhook(schedule: Schedule) -> Admit:
    """What it makes of each write."""
    return KINDS[schedule.admission](schedule.plans[0].lease_duration_seconds)


def with_admission(plain: Schedule, often: tuple[str, ...]) -> Schedule:
    """In some schedules, or where it is asked for (`admission`): of one kind, from the start or from a quiet moment on."""
    rng = random.Random(f"{plain.seed}:admission")
    if not (rng.random() < SHARE or "admission" in often) or plain.client_go or plain.early:
        return plain
    kind = rng.choice(list(KINDS))
    if rng.random() < 0.5:
        return replace(plain, admission=kind)
    lease_seconds = max(plan.lease_duration_seconds for plan in plain.plans)
    quiet = QUIET_LEASES * lease_seconds
    at = quiet + rng.random() * max(0.0, plain.seconds - 2 * quiet)
    steps = [step for step in plain.steps if not at - quiet <= step.at_seconds <= at + quiet]
    begin = [Step(max(0.0, at - quiet), "clear", 0, 0), Step(at, "admission", 0, 0)]
    return replace(plain, admission=kind, admission_begins=True, steps=tuple(sorted([*steps, *begin], key=lambda step: step.at_seconds)))
