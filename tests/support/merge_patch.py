"""RFC 7386 for what stands in for an API server in the tests: written apart from the store's own, so that each checks the other."""

import copy
from typing import Any


def merge(target: Any, change: Any) -> Any:
    """`target` with the merge patch `change` applied, as a new value."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result
