"""The one place that reads time."""

import time

import pytest

from sidecar.clock import SystemClock
from sidecar.election.record import format_time, parse_time


def test_a_time_zone_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is UTC wherever the image thinks that it is: a local time with a Z is hours wrong."""
    clock = SystemClock()
    try:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        far_us = clock.wall_us()
        written = format_time(far_us)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(clock.wall_us() - far_us) < 60_000_000
    assert parse_time(written) == far_us


def test_boottime_never_stands_behind_monotonic() -> None:
    """It goes on in a suspend, where the other stands still."""
    before_ns = time.monotonic_ns()
    assert SystemClock().boottime_ns() >= before_ns
