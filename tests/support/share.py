"""What `make test` keeps of a parametrized test, and what `make test-long` adds."""

from collections.abc import Iterable
from typing import Any

import pytest


def first(values: Iterable[Any], kept: int = 1) -> list[Any]:
    """The values, of which all but the first `kept` wait for the long run."""
    return [value if index < kept else pytest.param(value, marks=pytest.mark.long) for index, value in enumerate(values)]
