"""Reads JSON that other programs wrote: text strictly, and a value of another type than the wanted one counts as absent."""

import json
from collections.abc import Mapping
from typing import Any, Never


def strict_loads(text: str) -> object:
    """The value in `text`. Raises ValueError for no JSON, or where two readers could read two values; RecursionError where it is too deep.

    Two readers could differ on a name that an object holds twice (RFC 8259 section 4: "unpredictable"), NaN and infinities.
    """
    return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    """`value` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def integer(value: object) -> int | None:
    """`value` if it is an integer, else None; JSON's true and 1.0 are no integers."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object holds one name twice")
    return found


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")
