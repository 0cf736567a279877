"""Every interleaving of a small world, visited: nothing is broken there, and a broken algorithm is."""

from dataclasses import replace

import pytest

from sidecar.clock import ns
from sidecar.election import expiry, requests
from sidecar.election.requests import Candidate, Request
from tests.model.search import CONFIGS, SHARE, Config, search

WHOLE = [pytest.param(name, config, marks=pytest.mark.long) for name, config in CONFIGS.items() if config != SHARE.get(name)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "config"), [*SHARE.items(), *WHOLE], ids=str)
def test_no_interleaving_breaks_a_rule(name: str, config: Config) -> None:
    """All states up to so many units of time with so many faults."""
    found = search(config)
    print(f"{name}, {config.units} units of time: {found.states} states, {found.depth} steps deep")
    assert not found.violation, found.violation
    assert found.complete
    assert found.states > 1000


def test_the_search_finds_a_deadline_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two units beyond what S3 allows: the way to two leaders is told step by step."""
    true = requests.deadline_ns

    def longer(me: Candidate, request: Request) -> int:
        return true(me, request) + ns(2)

    monkeypatch.setattr(requests, "deadline_ns", longer)
    found = search(replace(CONFIGS["two candidates, one fault"], units=5))
    print(found.violation)
    assert found.violation.startswith("S1: ")
    assert "time passes" in found.violation


def test_the_search_finds_an_empty_lease_that_is_taken_for_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """S7, schedules a and b."""
    monkeypatch.setattr(expiry, "is_free", lambda record, last, last_token: True)  # noqa: ARG005 - it looks at nothing
    found = search(Config("AB", 3, 2))
    assert found.violation.startswith("S1: ")


def test_the_search_finds_a_late_release_by_client_go_that_is_taken_for_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """S7: it empties the Lease under a sidecar that leads, and another one last saw that program."""
    monkeypatch.setattr(expiry, "_came_later", lambda term, last: False)  # noqa: ARG005 - it looks at nothing
    found = search(CONFIGS["a client-go program's late release, two faults"])
    assert found.violation.startswith("S1: ")
    assert "a client-go program wakes and releases" in found.violation


def test_the_search_finds_a_webhook_that_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3: what was sent counts, not what stands."""
    monkeypatch.setattr(Request, "altered", lambda self, record: ())  # noqa: ARG005 - likewise
    monkeypatch.setattr(Request, "standing", lambda self, record: self)  # noqa: ARG005 - likewise
    monkeypatch.setattr(requests, "is_renewal", lambda me, request, altered, seconds: True)  # noqa: ARG005 - likewise
    found = search(CONFIGS["a webhook shortens the duration, one fault"])
    assert found.violation.startswith("S1: ")
