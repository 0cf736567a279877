"""JSON from strangers: text is read strictly, and a value of another type than the wanted one counts as absent."""

import json
from collections.abc import Mapping
from typing import Any, Never


def strict_loads(text: str) -> object:
    """The value that `text` stands for. Raises ValueError where two readers could take it for two values, RecursionError where it is deep.

    Refused beside what is no JSON: a name that an object holds twice (RFC 8259 section 4: "unpredictable"), NaN and infinities.
    """
    return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)


def mapping(value: object) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    """A string, or an empty one."""
    return value if isinstance(value, str) else ""


def integer(value: object) -> int | None:
    """An integer, or None; JSON's true and 1.0 are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object holds one name twice")
    return found


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")
