"""Broken variants of the algorithm, from `variants.toml`."""

import tomllib
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
    often: tuple[str, ...] = ()
    """What a schedule should have more of, to meet it soon (`steps.schedule`)."""
    seed: int = 1
    """Where the hunt begins: a later one for what comes up rarely."""


def _all() -> tuple[Variant, ...]:
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["variant"]
    return tuple(Variant(**{**entry, "often": tuple(entry.get("often", ()))}) for entry in listed)


VARIANTS = _all()
"""All of them; `python -m tests.simulation.table` says what caught each."""
