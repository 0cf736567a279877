"""A file for each test, whose stores are closed after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_stores import close_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease.db"


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()
