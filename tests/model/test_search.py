"""Every interleaving of a small world, visited: nothing is broken there, and a broken algorithm is."""

from dataclasses import replace

import pytest

from sidecar import promise, writes
from sidecar.clock import ns
from sidecar.writes import Candidate, Request
from tests.model.search import CONFIGS, Config, search


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CONFIGS)
def test_no_interleaving_breaks_a_rule(name: str) -> None:
    """All states up to so many units of time with so many faults."""
    config = CONFIGS[name]
    found = search(config)
    print(f"{name}, {config.units} units of time: {found.states} states, {found.depth} steps deep")
    assert not found.violation, found.violation
    assert found.complete
    assert found.states > 1000


def test_the_search_finds_a_deadline_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two units beyond what S3 allows: the way to two leaders is told step by step."""
    true = writes.deadline_ns

    def longer(me: Candidate, request: Request) -> int:
        return true(me, request) + ns(2)

    monkeypatch.setattr(writes, "deadline_ns", longer)
    found = search(replace(CONFIGS["two candidates, one fault"], units=5))
    print(found.violation)
    assert found.violation.startswith("S1: ")
    assert "time passes" in found.violation


def test_the_search_finds_an_empty_lease_that_is_taken_for_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """S7, schedules a and b."""
    monkeypatch.setattr(promise, "is_free", lambda record, last, last_token: True)  # noqa: ARG005 - it looks at nothing
    found = search(Config("AB", 3, 2))
    assert found.violation.startswith("S1: ")
