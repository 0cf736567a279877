"""Median and percentiles of measured numbers."""

from collections.abc import Sequence


def percentile(numbers: Sequence[float], percent: float) -> float:
    """By nearest rank, so that it is a measured number. With fewer than 100 numbers, the 99th percentile is the largest."""
    ordered = sorted(numbers)
    rank = -(-percent * len(ordered) // 100)  # rounded up
    return ordered[min(max(int(rank), 1), len(ordered)) - 1]


def median(numbers: Sequence[float]) -> float:
    """The 50th percentile."""
    return percentile(numbers, 50)
