"""A violation for people: the smallest schedule that still breaks the rule, and its timeline."""

import re
import time
from dataclasses import replace
from itertools import groupby

from tests.simulation.schedule import Schedule, Step
from tests.simulation.simulation import Outcome, Simulation

RENEWAL = re.compile(r"→ the Lease, version \d+")
"""In a line that tells of a write."""


SHRINKING_SECONDS = 120.0
"""Of CPU: a schedule that is not yet the smallest tells more than a test that never ends."""


def shrunk(schedule: Schedule, cpu_seconds: float = SHRINKING_SECONDS) -> Schedule:
    """A schedule that breaks the same rule, of which no step can be left out; itself where it breaks none."""
    end = time.process_time() + cpu_seconds
    rule = _rule(schedule)
    if not rule:
        return schedule
    steps, size = schedule.steps, len(schedule.steps) // 2
    steps = _head(schedule, rule)
    size = len(steps) // 2
    while size:
        index = 0
        while index < len(steps) and time.process_time() < end:
            fewer = steps[:index] + steps[index + size :]
            if _rule(replace(schedule, steps=fewer)) == rule:
                steps = fewer
            else:
                index += size
        size //= 2
    return replace(schedule, steps=steps)


def _head(schedule: Schedule, rule: str) -> tuple[Step, ...]:
    """The steps up to the violation."""
    outcome = Simulation(schedule).run()
    broken_seconds = outcome.candidate_hours * 3600 / len(schedule.plans)
    head = tuple(step for step in schedule.steps if step.at_seconds <= broken_seconds)
    return head if _rule(replace(schedule, steps=head)) == rule else schedule.steps


def _rule(schedule: Schedule) -> str:
    violation = Simulation(schedule).run().violation
    return violation.rule if violation is not None else ""


def timeline(outcome: Outcome) -> str:
    """Who took part, then a line for each thing that happened: seconds, who, what.

    `*` is a step of the schedule, `→` a write that etcd has taken, `true` and `false` what the sidecar answers from then on.
    """
    schedule = outcome.schedule
    lines = [f"seed {schedule.seed}: {len(schedule.plans)} candidates, {len(schedule.steps)} steps, {schedule.seconds:.0f} s"]
    for plan in schedule.plans:
        times = f"{plan.lease_duration_seconds}/{plan.renew_deadline_seconds:g}/{plan.retry_period_seconds:g} s"
        app = {"eager": "asks at every change", "sporadic": "asks now and then", "none": "never asks"}[plan.app]
        lines.append(
            f"  {plan.name}: {times}, clock rate {plan.rate / 1000:g}, identity {plan.identity or 'its own'}, its application {app}"
        )
    return "\n".join([*lines, "", *_short(outcome.timeline), "", str(outcome.violation or "no rule was broken")])


def _short(lines: list[str]) -> list[str]:
    """Of renewals in a row the first and the last."""
    short: list[str] = []
    for renewals, group in groupby(lines, lambda line: RENEWAL.sub("", line)[13:] if RENEWAL.search(line) else ""):
        some = list(group)
        short += [some[0], f"{'⋮':>13} {len(some) - 2} more", some[-1]] if renewals and len(some) > 3 else some
    return short
