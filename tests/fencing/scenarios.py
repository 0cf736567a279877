"""What every recipe has to keep, told as stories of an old leader and a new one. A weaker recipe fails one of them.

Each story uses a resource of its own, on which nothing has been written yet.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

TIMEOUT_SECONDS = 30


class Resource(Protocol):
    """One protected value."""

    def write(self, token: int, value: str) -> bool:
        """Whether the write went through; False if its token was refused. May be called by several threads."""

    def read(self) -> str:
        """The value."""


def late_write(resource: Resource) -> None:
    """The old leader's write comes after the new leader's, and is refused, however often it is tried."""
    assert resource.write(7, "old")
    assert resource.write(9, "new")
    assert not resource.write(7, "late")
    assert not resource.write(8, "late too")
    assert not resource.write(7, "late once more")
    assert resource.read() == "new"


def same_term(resource: Resource) -> None:
    """A leader writes again in its term, and repeats a write after a timeout: both go through, also after a refused write of another."""
    assert resource.write(9, "one")
    assert resource.write(9, "two")
    assert resource.write(9, "two")
    assert not resource.write(8, "late")
    assert resource.write(9, "three")
    assert resource.read() == "three"


def in_order(resource: Resource) -> None:
    """The old leader's write comes first: both go through, and the new leader's stands."""
    assert resource.write(7, "old")
    assert resource.write(8, "new")
    assert resource.read() == "new"


def digits(resource: Resource) -> None:
    """Tokens are compared as numbers, and exactly up to 2^53."""
    assert resource.write(9, "old")
    assert resource.write(10, "ten is above nine")
    assert resource.write(2**53 - 1, "old")
    assert resource.write(2**53, "new")
    assert not resource.write(2**53 - 1, "late")
    assert not resource.write(10, "late")
    assert resource.read() == "new"


def at_once(resource: Resource) -> None:
    """Both leaders write at the same time. After the new one's first answer the old one is refused, and the new value stands."""
    refused: list[bool] = []
    began, written = threading.Event(), threading.Event()

    def old() -> None:
        while not written.is_set():
            resource.write(7, "old")
            began.set()
        refused.extend(not resource.write(7, "late") for _ in range(2))

    thread = threading.Thread(target=old)
    thread.start()
    try:
        assert began.wait(TIMEOUT_SECONDS)
        assert resource.write(8, "new")
    finally:
        written.set()
        thread.join(TIMEOUT_SECONDS)
    assert resource.read() == "new"
    assert refused == [True, True]
    assert resource.write(8, "newer")
    assert resource.read() == "newer"


def same_term_at_once(resource: Resource) -> None:
    """Threads of one leader write at the same time: none is refused."""
    threads = 3
    went_through: list[bool] = []

    def write(number: int) -> None:
        went_through.extend(resource.write(8, f"{number}.{count}") for count in range(2))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(TIMEOUT_SECONDS)
    assert went_through == [True] * 2 * threads


Scenario = Callable[[Resource], None]
SCENARIOS: list[Scenario] = [late_write, same_term, in_order, digits, at_once, same_term_at_once]


def caught(new: Callable[[], Resource], scenarios: Sequence[Scenario] = SCENARIOS) -> list[str]:
    """The scenarios that a recipe fails; `new` makes a fresh resource."""
    failed = []
    for scenario in scenarios:
        try:
            scenario(new())
        except AssertionError:
            failed.append(scenario.__name__)
    return failed
