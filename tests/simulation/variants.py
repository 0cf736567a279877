"""Broken variants of the algorithm, from `variants.toml`."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Variant:
    """One broken algorithm: in `sidecar.<module>`, `old` (which stands there once) becomes `new`."""

    name: str
    weakens: str
    """The rules, by name; letters are those of the schedules."""
    module: str
    old: str
    new: str
    seed: int
    """Of the schedule that catches it, where `make test` begins; `SEARCH` where the exhaustive search does."""
    often: tuple[str, ...] = ()
    """What a schedule should have more of, to meet it soon (`steps.schedule`)."""
    hunted_from: int = 1
    """The seed at which `make test-long` begins: a later one for what comes up rarely."""


SEARCH = -1
"""In place of a seed: no schedule catches it."""

_FILE = Path(__file__).with_suffix(".toml")


def _all() -> tuple[Variant, ...]:
    listed = tomllib.loads(_FILE.read_text(encoding="utf-8"))["variant"]
    return tuple(Variant(**{**entry, "often": tuple(entry.get("often", ()))}) for entry in listed)


def keep(seeds: Mapping[str, int]) -> None:
    """Write the seeds, by the variants' names, into the file."""
    blocks = _FILE.read_text(encoding="utf-8").split("[[variant]]\n")
    for index, block in enumerate(blocks[1:], 1):
        seed = seeds.get(tomllib.loads(block)["name"])
        if seed is not None:
            blocks[index] = re.sub(r"^seed = .*$", f"seed = {seed}", block, count=1, flags=re.MULTILINE)
    _FILE.write_text("[[variant]]\n".join(blocks), encoding="utf-8")


VARIANTS = _all()
"""All of them; `python -m tests.simulation.table` says what caught each."""
