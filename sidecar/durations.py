"""Reads and writes durations as people and Go write them: `15`, `15s`, `500ms`, `2m`, `1m30s`, `0h1m0s`, `15000000us`."""

import re
from typing import Final

_NS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PLACES: Final = 18
"""Digits before and after a point: more than any duration needs."""
_SCALE: Final[int] = 10 ** (_PLACES + 9)
"""The units in a second: a number with _PLACES decimals, times its unit in nanoseconds, is a whole number of them."""
_NUMBER: Final = rf"(?:[0-9]{{1,{_PLACES}}}(?:\.[0-9]{{0,{_PLACES}}})?|\.[0-9]{{1,{_PLACES}}})"
SHAPE: Final = rf"[+]?(?:(?:{_NUMBER}(?:{'|'.join(_NS)}))+|{_NUMBER}|[0-9]{{1,3}}e[0-9])"
"""A duration as a regular expression, for JSON Schema as well: as Go's time.ParseDuration takes it, and seconds without a unit."""
_WHOLE: Final = re.compile(SHAPE, re.ASCII)
_PART: Final = re.compile(rf"({_NUMBER})({'|'.join(_NS)}|$)", re.ASCII)

ALLOWED: Final = "a duration such as 15, 15s, 500ms, 2m, 1h or 1m30s"


def parse_seconds(text: str) -> float:
    """Seconds in `text`. Raises ValueError that says what is allowed."""
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration: write {ALLOWED}")
    if "e" in text:
        return float(text)
    total = 0
    for number, unit in _PART.findall(text):  # in integers: 15000000us is 15 s, not almost
        whole, _, fraction = number.partition(".")
        total += int(whole + fraction.ljust(_PLACES, "0")) * _NS[unit or "s"]
    return total / _SCALE


def format_seconds(seconds: float) -> str:
    """Text that `parse_seconds` reads back, to the nanosecond."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
