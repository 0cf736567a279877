"""Prints the table of weakened algorithms for docs/internals/simulation.md, with what caught each: `python -m tests.simulation.table`.

With `--keep-seeds`, the seeds go into variants.toml as well: if a change of the election has moved them, `make test` searches longer.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.hunt import Catch
from tests.simulation.test_variants import hunted
from tests.simulation.variants import SEARCH, VARIANTS, Variant, keep


def row(variant: Variant, catch: Catch) -> str:
    """A row of the table."""
    how = f"{catch.rule}, {'the search' if catch.seed == SEARCH else f'seed {catch.seed}'}" if catch.rule else "**nothing**"
    return f"| {variant.name} | {variant.weakens} | {how} | {catch.candidate_hours:.1f} h | {catch.cpu_seconds:.1f} s |"


def main() -> None:
    """Print the table; each algorithm runs in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.table", description=__doc__)
    parser.add_argument("--keep-seeds", action="store_true", help="write the seeds into tests/simulation/variants.toml")
    asked, seeds = parser.parse_args(), {}
    print("| variant | weakens | caught by | candidate-hours | CPU |\n| --- | --- | --- | ---: | ---: |")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for variant, catch in zip(VARIANTS, pool.map(hunted, VARIANTS), strict=True):
            print(row(variant, catch), flush=True)
            if catch.rule:
                seeds[variant.name] = catch.seed
    if asked.keep_seeds:
        keep(seeds)


if __name__ == "__main__":
    main()
