"""Long runs on every core: `python -m tests.simulation --hours 10000`, or one seed's timeline: `python -m tests.simulation --seed 7`."""

import argparse
import os
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.replay import shrunk, timeline
from tests.simulation.simulation import Simulation
from tests.simulation.steps import LEASES, schedule

SEEDS_A_TASK = 4


@dataclass
class Total:
    """What came of many runs."""

    candidate_hours: float = 0
    by_lease: Counter[int] = field(default_factory=Counter)
    """Candidate-hours by the first candidate's lease duration."""
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)
    runs: int = 0

    def add(self, other: "Total") -> None:
        """Both together."""
        self.candidate_hours += other.candidate_hours
        self.by_lease.update(other.by_lease)
        self.counts.update(other.counts)
        self.violations += other.violations
        self.runs += other.runs


def simulate(seeds: range, leases: int = LEASES) -> Total:
    """Each of the seeds, one after the other, so many lease durations long."""
    total = Total()
    for seed in seeds:
        outcome = Simulation(schedule(seed, leases=leases)).run()
        total.add(
            Total(
                outcome.candidate_hours,
                Counter({outcome.schedule.plans[0].lease_duration_seconds: round(outcome.candidate_hours)}),
                outcome.counts,
                [(seed, str(outcome.violation))] if outcome.violation is not None else [],
                1,
            )
        )
    return total


def run(hours: float, first_seed: int, *, workers: int, keep_going: bool = False) -> Total:
    """Seeds from `first_seed` on, until so many candidate-hours are simulated or a rule is broken, unless `keep_going`."""
    total, seed, begun = Total(), first_seed, time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        running: list[Future[Total]] = []
        while total.candidate_hours < hours and (keep_going or not total.violations):
            while len(running) < 16 * workers:  # so that nobody waits for the slowest
                running.append(pool.submit(simulate, range(seed, seed + SEEDS_A_TASK)))
                seed += SEEDS_A_TASK
            done = running.pop(0).result()
            total.add(done)
            for broken, text in done.violations:
                print(f"\nseed {broken}: {text}", file=sys.stderr, flush=True)
            _progress(total, hours, time.monotonic() - begun)
        for task in running:
            task.cancel()
    print(file=sys.stderr)
    return total


def _progress(total: Total, hours: float, seconds: float) -> None:
    done = min(1.0, total.candidate_hours / hours)
    bar = "█" * int(40 * done) + "·" * (40 - int(40 * done))
    left = seconds / done - seconds if done else 0
    end = "\n" if not sys.stderr.isatty() else ""
    if end and total.runs % 100:
        return
    text = f"{bar} {100 * done:5.1f} %  {total.candidate_hours:9.0f} candidate-hours, {total.runs} runs, {left / 60:.0f} min left"
    print(f"\r{text}", end=end, file=sys.stderr, flush=True)


def _report(total: Total, first_seed: int, seconds: float) -> None:
    print(f"{total.candidate_hours:.0f} candidate-hours in {seconds:.0f} s, {total.runs} runs, seeds from {first_seed} on")
    print("by lease duration: " + ", ".join(f"{lease} s: {hours} h" for lease, hours in sorted(total.by_lease.items())))
    for what, number in sorted(total.counts.items()):
        print(f"{number:12}  {what}")
    for seed, text in total.violations:
        print(f"seed {seed}: {text}\n  see it: python -m tests.simulation --seed {seed} --shrink")


def main() -> int:
    """0 where no rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--hours", type=float, default=1000, help="candidate-hours to simulate")
    parser.add_argument("--first-seed", type=int, help="default: a fresh one, printed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one for each core")
    parser.add_argument("--keep-going", action="store_true", help="go on after a broken rule")
    parser.add_argument("--seed", type=int, help="one run alone, with its timeline")
    parser.add_argument("--leases", type=int, default=LEASES, help="with --seed: how many lease durations long")
    parser.add_argument("--shrink", action="store_true", help="with --seed: leave out every step that is not needed to break the rule")
    asked = parser.parse_args()
    if asked.seed is not None:
        plan = schedule(asked.seed, leases=asked.leases)
        outcome = Simulation(shrunk(plan) if asked.shrink else plan, tell=True).run()
        print(timeline(outcome))
        return 1 if outcome.violation is not None else 0
    first = asked.first_seed if asked.first_seed is not None else secrets.randbelow(1_000_000_000)
    print(f"first seed {first}")
    begun = time.monotonic()
    total = run(asked.hours, first, workers=asked.workers, keep_going=asked.keep_going)
    _report(total, first, time.monotonic() - begun)
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
