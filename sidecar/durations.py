"""Durations as people write them: `15`, `15s`, `500ms`, `2m`, `1h`."""

import math
import re
from typing import Final

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHAPE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?|[0-9]{1,3}e[0-9])(ms|s|m|h|)", re.ASCII)

ALLOWED: Final = "a duration such as 15, 15s, 500ms, 2m or 1h"


def parse_seconds(text: str) -> float:
    """Seconds in `text`. Raises ValueError that says what is allowed."""
    found = _SHAPE.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{text!r} is no duration: write {ALLOWED}")
    return seconds


def format_seconds(seconds: float) -> str:
    """Text that `parse_seconds` reads back."""
    return f"{seconds:g}s"
