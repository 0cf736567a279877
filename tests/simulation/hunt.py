"""Runs the simulator with one broken variant of the algorithm until a rule is broken: `python -m tests.simulation.hunt NAME`.

The variant is made while its module is imported, so this must come before any import of the sidecar.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import ClassVar

from tests.simulation.variants import SEARCH, VARIANTS, Variant

LEASES = 60
"""How many lease durations a schedule of a hunt is long."""


@dataclass(frozen=True)
class Catch:
    """What caught a variant; `rule` is "" where nothing did, `seed` is `SEARCH` where it was the search."""

    rule: str
    what: str
    seed: int
    candidate_hours: float
    cpu_seconds: float


class _Weaker(SourceFileLoader):
    variant: ClassVar[Variant]

    def get_code(self, fullname: str) -> CodeType:
        """The module's code with the variant in it; never from a cache."""
        source = self.get_data(self.path).decode()
        if source.count(self.variant.old) != 1:
            raise ImportError(
                f"variant {self.variant.name!r}: its line stands in {fullname} {source.count(self.variant.old)} times, not once"
            )
        return compile(source.replace(self.variant.old, self.variant.new), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Of the one module that the variant changes."""
        if fullname != f"sidecar.{_Weaker.variant.module}":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Weaker(fullname, spec.origin)
        return spec


def install(variant: Variant) -> None:
    """Make every later import of its module the weaker one."""
    assert not any(name == "sidecar" or name.startswith("sidecar.") for name in sys.modules), "too late: the sidecar is imported"
    _Weaker.variant = variant
    sys.meta_path.insert(0, _Finder())


def hunt(first_seed: int, cpu_seconds: float, often: tuple[str, ...] = ()) -> Catch:
    """Run seed after seed until one breaks a rule; from `SEARCH` on there is none, and the search is what is left."""
    from tests.simulation.simulation import Simulation  # noqa: PLC0415 - only now: the variant is in place
    from tests.simulation.steps import schedule  # noqa: PLC0415

    start, hours, seed = time.process_time(), 0.0, first_seed
    while (spent := time.process_time() - start) < cpu_seconds and first_seed != SEARCH:
        outcome = Simulation(schedule(seed, leases=LEASES, often=often)).run()
        hours += outcome.candidate_hours
        if outcome.violation is not None:
            return Catch(outcome.violation.rule, str(outcome.violation), seed, hours, time.process_time() - start)
        seed += 1
    return _searched(hours, spent)


def _searched(hours: float, spent: float) -> Catch:
    """What the simulator did not find, the exhaustive search may."""
    from tests.model.search import CONFIGS, SHARE, Config, search  # noqa: PLC0415 - likewise

    # What the simulator has not found is likely to need more than two plain candidates: first the worlds that have more.
    plain = Config("AB", 0, 0)
    for config in sorted(
        (*SHARE.values(), *CONFIGS.values()), key=lambda config: (replace(config, units=0, faults=0) == plain, config.faults)
    ):
        found = search(config, max_states=100_000)
        if found.violation:
            what = found.violation.partition("\n")[0]
            return Catch(what.partition(":")[0], what, SEARCH, hours, spent)
    return Catch("", "", SEARCH, hours, spent)


def main() -> None:
    """Print what caught the variant, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", help="its name, as in tests/simulation/variants.toml")
    parser.add_argument("--seed", type=int, help=f"the first; {SEARCH}: the search alone; default: the one that is known to catch it")
    parser.add_argument("--cpu-seconds", type=float, default=60, help="give up after that")
    asked = parser.parse_args()
    variant = next(variant for variant in VARIANTS if variant.name == asked.variant)
    install(variant)
    print(json.dumps(asdict(hunt(variant.seed if asked.seed is None else asked.seed, asked.cpu_seconds, variant.often))))


if __name__ == "__main__":
    main()
