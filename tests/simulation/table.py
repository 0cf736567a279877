"""Prints the table of broken variants for docs/simulation.md: what caught each, and after how long. `python -m tests.simulation.table`."""

import os
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.hunt import Catch
from tests.simulation.test_variants import caught
from tests.simulation.variants import VARIANTS, Variant


def row(variant: Variant, catch: Catch) -> str:
    """One line of it."""
    how = f"{catch.rule}, {'search' if catch.seed < 0 else f'seed {catch.seed}'}" if catch.rule else "**nothing**"
    return f"| {variant.name} | {variant.weakens} | {how} | {catch.candidate_hours:.1f} h | {catch.cpu_seconds:.1f} s |"


def main() -> None:
    """All of them, each in a process of its own."""
    print("| variant | weakens | caught by | candidate-hours | CPU |\n| --- | --- | --- | ---: | ---: |")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for variant, catch in zip(VARIANTS, pool.map(caught, VARIANTS), strict=True):
            print(row(variant, catch), flush=True)


if __name__ == "__main__":
    main()
