"""For the ratios: one API server, and the Python that runs the tests, since CI may not have built the image."""

import os
from collections.abc import Iterator

import pytest

from tests.bench.ground import Ground, ground
from tests.bench.interpreters import own
from tests.binaries.build import BinariesUnavailableError


@pytest.fixture(scope="module")
def here() -> Iterator[Ground]:
    """Where it cannot be had: a skip on a laptop, a failure under CI."""
    try:
        with ground(own()) as made:
            yield made
    except BinariesUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no real API server: {error}", pytrace=False)
        pytest.skip(str(error))
