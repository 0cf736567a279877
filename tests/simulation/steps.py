"""Schedules: what befalls the Pods, the network and the Lease, and when. All of it comes from one integer, so a run replays exactly."""

import random
from dataclasses import replace

from tests.simulation.admission import with_admission
from tests.simulation.features import featured
from tests.simulation.late_releases import with_late_releases
from tests.simulation.pod import Plan
from tests.simulation.schedule import Schedule, Step

WEIGHTS: dict[str, float] = {
    "weather": 14,
    "clear": 6,
    "cut": 6,
    "join": 6,
    "clog": 2,
    "stop": 5,
    "suspend": 3,
    "hang": 3,
    "wall clock": 2,
    "kill": 4,
    "terminate": 4,
    "replace": 2,
    "reboot": 1,
    "drained": 2,
    "resign": 4,
    "campaign": 2,
    "ask": 6,
    "touch": 2,
    "delete": 2,
    "wipe": 1,
    "empty": 1,
    "duration": 1,
    "prune": 0.5,
    "junk": 1,
    "restore": 0.5,
    "write back": 0.5,
    "roll": 1,
    "retime": 1,
    "restart and terminate": 2,
}
"""How often each step comes up, before a seed's own taste."""

POD_WEIGHTS: dict[str, float] = {
    "pod ends": 6,
    "pod is forced": 2,
    "pod is deleted": 2,
    "pod crashes": 2,
    "kubelet is silent": 1,
    "pod is collected": 1,
}
"""The steps of schedules that show Pods, beside the others."""
ALONE = ("stopped alone", "restarted and stopped alone")
"""The steps of `stopped_alone.py`."""
ALONE_SHARE = 0.15
"""Of the schedules that do not ask for them."""
LONGEST_LOOKED_AT_SECONDS = 60
"""Whoever waits for an application's end looks ten times a second."""
SPELL = "spell"
"""Reads alone fail, or writes alone."""
WITHOUT_CLIENT_GO = frozenset({"delete", "wipe", "empty", "duration"})
"""A client-go program takes an empty Lease at once and creates a missing one in its own name: outside of S1."""

SMALLEST_ROLLED_RATIO = 1.5
"""Of lease duration to renew deadline, in a group whose members have different times."""

TIMES = (
    (15, 10.0, 2.0),
    (15, 10.0, 2.0),
    (3, 2.0, 0.5),
    (20, 12.0, 3.0),
    (60, 40.0, 8.0),
    (600, 400.0, 60.0),
    (3600, 2400.0, 300.0),
    (5, 4.0, 1.0),
)
"""Lease duration, renew deadline, retry period."""

LEASES = 120
"""How many lease durations a schedule is long, if nothing else is asked for."""
SHORT_SECONDS = 20
ROLLED = [times for times in TIMES if times[0] <= 60 and times[0] / times[1] >= SMALLEST_ROLLED_RATIO]
"""What a rolling update changes the times to."""


def schedule(seed: int, *, leases: int = LEASES, rates: tuple[int, int] | None = None, often: tuple[str, ...] = ()) -> Schedule:
    """The schedule of `seed`, some `leases` lease durations long.

    `rates`: of the clocks, in thousandths, in place of rates inside the bound of S1. `often`: steps that come up more than others, and
    `duplicates`, `mixed`, `short` (times), `admission`, `late release` or one of `features.SHARES`, which then do so in every run.
    """
    rng = random.Random(seed)
    times = rng.choice([times for times in TIMES if times[0] <= SHORT_SECONDS] if "short" in often else TIMES)
    plans = [_plan(rng, name, times, rates) for name in "ABCDEFG"[: rng.choice((2, 2, 3, 3, 3, 4, 5, 7))]]
    if "duplicates" in often or rng.random() < 0.15:  # two Pods with one identity written into the template
        plans = [replace(plan, identity="web_literal") if index < 2 else plan for index, plan in enumerate(plans)]
    if "mixed" in often or rng.random() < 0.15:  # a mixed group: a rolling update is under way
        other = rng.choice(ROLLED)
        plans[-1] = _timed(plans[-1], other)
    client_go = rng.random() < 0.1
    names = [name for name in WEIGHTS if not (client_go and name in WITHOUT_CLIENT_GO)]
    weights = [WEIGHTS[name] * (10 if name in often else rng.choice((0, 0.3, 1, 1, 3))) for name in names]
    pace = times[0] * rng.choice((0.1, 0.3, 1, 3))
    seconds = float(times[0] * leases)
    steps, at = [], times[0] * rng.random()
    while at < seconds and any(weights):
        steps.append(Step(round(at, 3), rng.choices(names, weights)[0], rng.randrange(len(plans)), rng.randrange(1 << 30)))
        at += rng.expovariate(1 / pace) if rng.random() < 0.7 else rng.random() * times[2] / 10
    plain = Schedule(seed, tuple(plans), tuple(steps), seconds, client_go)
    whole = _with_spells(_stopped_alone(_with_pods(_standing_by(plain), pace, often), often), often)
    return with_late_releases(with_admission(featured(whole, often), often), often) if rates is None else whole


def _standing_by(plain: Schedule) -> Schedule:
    """In three of four schedules they stand by, all or all but one: that one is of an older version."""
    rng = random.Random(f"{plain.seed}:standby")
    older = rng.choice((None, None, None, 0))
    return (
        replace(plain, plans=tuple(replace(plan, standby=index != older) for index, plan in enumerate(plain.plans)))
        if rng.random() < 0.75
        else plain
    )


def _stopped_alone(plain: Schedule, often: tuple[str, ...]) -> Schedule:
    """In some schedules a kubelet stops native sidecars alone as well; every other one stays as it is."""
    rng = random.Random(f"{plain.seed}:alone")
    if (ALONE[0] not in often and rng.random() >= ALONE_SHARE) or plain.lease_seconds > LONGEST_LOOKED_AT_SECONDS:
        return plain
    plans = tuple(replace(plan, native_sidecar=plan.native_sidecar or rng.random() < 0.5) for plan in plain.plans)
    steps, at = list(plain.steps), plain.lease_seconds * rng.random()
    while at < plain.seconds:
        steps.append(Step(round(at, 3), rng.choice(ALONE), rng.randrange(len(plans)), rng.randrange(1 << 30)))
        at += rng.expovariate(1 / (3 * plain.lease_seconds))
    return replace(plain, plans=plans, steps=tuple(sorted(steps, key=lambda step: step.at_seconds)))


def _with_spells(plain: Schedule, often: tuple[str, ...]) -> Schedule:
    """In half of the schedules there are spells in which reads alone fail, or writes alone; the last one goes on until the calm."""
    rng = random.Random(f"{plain.seed}:spells")
    if rng.random() < 0.5 and SPELL not in often:
        return plain
    lease_seconds = plain.lease_seconds
    spells = [plain.seconds - lease_seconds * rng.choice((0.3, 1, 3)) * rng.random()]
    at = lease_seconds * rng.random()
    while at < spells[0]:
        spells.append(at)
        at += rng.expovariate(1 / (lease_seconds * (3 if SPELL in often else 20)))
    steps = [Step(round(max(at, 0), 3), SPELL, rng.randrange(len(plain.plans)), rng.randrange(1 << 30)) for at in spells]
    return replace(plain, steps=tuple(sorted((*plain.steps, *steps), key=lambda step: step.at_seconds)))


def _with_pods(plain: Schedule, pace: float, often: tuple[str, ...]) -> Schedule:
    """Where it is asked for (`early`), schedules show Pods and have steps of theirs among the others; every other one stays as it is."""
    if "early" not in often:
        return plain
    rng = random.Random(f"{plain.seed}:early")
    rng.random()  # drawn for nothing: the seeds in variants.toml were found with it
    plans = tuple(
        replace(plan, early=rng.random() < 0.7, former=rng.random() < (0.5 if "former" in often else 0.15)) for plan in plain.plans
    )
    plans = tuple(replace(plan, early=plan.early and not plan.former, standby=plan.standby and not plan.former) for plan in plans)
    weights = [POD_WEIGHTS[name] * (10 if name in often else rng.choice((0.3, 1, 3))) for name in POD_WEIGHTS]
    steps, at = list(plain.steps), plans[0].lease_duration_seconds * rng.random()
    while at < plain.seconds:
        steps.append(Step(round(at, 3), rng.choices(list(POD_WEIGHTS), weights)[0], rng.randrange(len(plans)), rng.randrange(1 << 30)))
        at += rng.expovariate(1 / max(pace, 2 * plans[0].lease_duration_seconds))
    steps.sort(key=lambda step: step.at_seconds)
    return replace(plain, plans=plans, steps=tuple(steps), early=True)


def _plan(rng: random.Random, name: str, times: tuple[int, float, float], rates: tuple[int, int] | None) -> Plan:
    ratio = min(SMALLEST_ROLLED_RATIO, times[0] / times[1])
    edge = int(1000 * (ratio - 1) / (ratio + 1)) - 2  # the fastest by the slowest stays just below lease duration / renew deadline
    slowest, fastest = rates or (1000 - edge, 1000 + edge)
    return _timed(
        Plan(
            name,
            rate=rng.choice((1000, slowest, fastest, rng.randint(slowest, fastest))),
            offset_seconds=rng.randrange(10_000_000),
            native_sidecar=rng.random() < 0.2,
            app=rng.choice(("eager", "eager", "sporadic", "none")),
        ),
        times,
        drain=rng.choice((1, 1, 1, 0, 0.5, 2)),
    )


def _timed(plan: Plan, times: tuple[int, float, float], drain: float = 1) -> Plan:
    lease, renew, retry = times
    return replace(
        plan, lease_duration_seconds=lease, renew_deadline_seconds=renew, retry_period_seconds=retry, drain_timeout_seconds=renew * drain
    )


def rolled(plan: Plan, number: int) -> Plan:
    """The same Pod after a rolling update that changes the three times."""
    return _timed(plan, ROLLED[number % len(ROLLED)])
