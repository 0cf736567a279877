"""The exhaustive search, deeper than the tests go: `python -m tests.model --candidates 2 --units 6 --faults 2`."""

import argparse
import sys
import time

from tests.model.search import Config, search


def main() -> int:
    """0 where nothing is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--candidates", type=int, choices=(2, 3), default=2)
    parser.add_argument("--units", type=int, default=5, help="units of time: retry periods, of which a lease duration has three")
    parser.add_argument("--faults", type=int, default=2, help="how many faults there may be in all")
    parser.add_argument("--duplicates", action="store_true", help="all candidates have one identity")
    parser.add_argument("--max-states", type=int, default=10_000_000)
    asked = parser.parse_args()
    config = Config("ABC"[: asked.candidates], asked.units, asked.faults, duplicates=asked.duplicates)
    begun = time.monotonic()

    def progress(depth: int, states: int) -> None:
        print(f"\r{depth} steps deep, {states} states", end="", file=sys.stderr, flush=True)

    found = search(config, max_states=asked.max_states, progress=progress)
    verdict = found.violation or ("every state was visited, nothing is broken" if found.complete else "not complete: too many states")
    print(f"\n{config}: {found.states} states, {found.depth} steps deep, {time.monotonic() - begun:.0f} s\n{verdict}")
    return 1 if found.violation else 0


if __name__ == "__main__":
    sys.exit(main())
