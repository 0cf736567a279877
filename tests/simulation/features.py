"""What comes up in a part of the schedules only: groups, health, held releases, versions without an order, and more.

Each draws from a generator of its own, so that a seed keeps what else it means.
"""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sidecar.election.events import UNHEALTHY_DURATIONS
from tests.simulation.client import AT_ONCE, WAITING
from tests.simulation.pod import Plan
from tests.simulation.schedule import Schedule, Step

SHARES: Final = {
    "groups": 0.1,
    "health": 0.1,
    "held": 0.1,
    "placeless": 0.07,
    "opaque": 0.07,
    "eager": 0.1,
    "instant": 0.07,
    "waits": 0.15,
}
"""In how many schedules each comes up, where it is not asked for (`often`)."""

HEALTH_STEPS: Final = ("app is sick", "app is sick", "app is well", "all apps are sick")


def featured(plain: Schedule, often: tuple[str, ...]) -> Schedule:
    """The same schedule with what else it has."""
    plans, steps, found = _asking(plain), plain.steps, plain
    for name, share in SHARES.items():
        rng = random.Random(f"{plain.seed}:{name}")
        if name not in often and rng.random() >= share:
            continue
        if name == "groups":
            plans = _grouped(plans, rng)
        elif name == "waits":
            plans = tuple(replace(plan, asks=rng.choice(WAITING)) for plan in plans)
        elif name == "health":
            plans = tuple(replace(plan, health=rng.random() < 0.8) for plan in plans)
            steps = _sick(plain, rng)
            found = replace(found, sick_at_last=rng.random() < 0.3)
        elif name == "held":
            plans = tuple(replace(plan, held=rng.random() < 0.8) for plan in plans)
        elif name == "placeless":
            plans = tuple(replace(plan, placeless=rng.random() < 0.6) for plan in plans)
        elif name == "opaque":
            found = replace(found, opaque=True)
        elif name == "eager":
            plans = tuple(replace(plan, eager=True) for plan in plans)
        else:
            eager = rng.random() < 0.7
            plans = tuple(replace(plan, instant=True, eager=eager or plan.eager) for plan in plans)
    return replace(found, plans=plans, steps=steps)


def _asking(plain: Schedule) -> tuple[Plan, ...]:
    """Each application asks by a way of its own, and always by that."""
    rng = random.Random(f"{plain.seed}:asks")
    return tuple(replace(plan, asks=rng.choice(tuple(AT_ONCE))) for plan in plain.plans)


def _grouped(plans: tuple[Plan, ...], rng: random.Random) -> tuple[Plan, ...]:
    """Two groups on one Lease, or one and some that are of none; whoever shares an identity shares its group."""
    names = rng.choice((("red", "blue"), ("red", "blue"), ("", "red")))
    groups = [names[index] if index < len(names) else rng.choice(names) for index in range(len(plans))]
    of_duplicates = {plan.identity: group for plan, group in zip(plans, groups, strict=True) if plan.identity}
    return tuple(replace(plan, group=of_duplicates.get(plan.identity, group)) for plan, group in zip(plans, groups, strict=True))


def _sick(plain: Schedule, rng: random.Random) -> tuple[Step, ...]:
    """Applications fall ill and get well among what else happens."""
    lease_seconds = plain.plans[0].lease_duration_seconds
    steps, at = list(plain.steps), lease_seconds * rng.random()
    pace = lease_seconds * rng.choice((0.3, 1, 3))
    while at < plain.seconds:
        steps.append(Step(round(at, 3), rng.choice(HEALTH_STEPS), rng.randrange(len(plain.plans)), rng.randrange(1 << 30)))
        at += rng.expovariate(1 / pace)
    return tuple(sorted(steps, key=lambda step: step.at_seconds))


def had(schedule: Schedule) -> list[str]:
    """Which of these it has."""
    plans = schedule.plans
    found = {name: any(getattr(plan, name) for plan in plans) for name in ("health", "held", "placeless", "eager", "instant")}
    found |= {
        "groups": len({plan.group for plan in plans}) > 1,
        "opaque": schedule.opaque,
        "waits": any(plan.asks in WAITING and plan.app != "none" for plan in plans),
    }
    return [name for name, is_so in found.items() if is_so]


def health_seconds(plans: Iterable[Plan], *, sick_at_last: bool) -> float:
    """What an application's health adds to L1, by a true clock: its probes; where all stay sick the step-down and the patience too."""
    probed = [plan for plan in plans if plan.health]
    probes = max((2 * plan.retry_period_seconds for plan in probed), default=0.0)
    if not probed or not sick_at_last:
        return probes
    drain = max(max(plan.drain_timeout_seconds, plan.renew_deadline_seconds) for plan in probed)
    return 2 * probes + drain + (UNHEALTHY_DURATIONS + 1) * max(plan.lease_duration_seconds for plan in probed)
