"""What `/readyz?verbose` shows as failing, and what the log says of it."""

import logging

import pytest

from sidecar.election.store import Busy, Conflict, Denied, Outcome, Unknown
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.status import Status
from tests.support.situations import leading

WEBHOOK_IS_DOWN = Unknown("failed calling webhook")


@pytest.mark.parametrize("failure", [WEBHOOK_IS_DOWN, Denied("denied by a policy"), Busy(1.0)])
def test_a_conflict_does_not_show_that_writes_land_but_the_renewal_of_another_does(
    failure: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    """The API server finds a conflict before it calls a validating webhook. The log says "works again" only after a write has landed."""
    world = leading("AB")
    follower, status = world["B"], Status()
    status.absorbed(follower.election, before := follower.watch().election)
    with caplog.at_level(logging.INFO):
        status.note(HealthLine.PATCH, failure)
        status.note(HealthLine.PATCH, Conflict())
        assert HealthLine.PATCH in status.problems
        world.run(seconds=6)
        status.absorbed(before, follower.watch().election)
    assert HealthLine.PATCH not in status.problems
    assert [message for message in caplog.messages if "patch" in message] == ["patch failed"]


def test_a_create_that_finds_the_lease_there_has_passed_a_webhook_that_was_down(caplog: pytest.LogCaptureFixture) -> None:
    """The API server looks whether the name is taken after it has called a validating webhook; and the Lease is there."""
    status = Status()
    with caplog.at_level(logging.INFO):
        status.note(HealthLine.CREATE, WEBHOOK_IS_DOWN)
        status.note(HealthLine.CREATE, Conflict())
    assert HealthLine.CREATE not in status.problems
    assert caplog.messages == ["create failed", "create works again"]


def test_a_write_that_has_landed_is_told_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    status = Status()
    with caplog.at_level(logging.INFO):
        for outcome in (WEBHOOK_IS_DOWN, Conflict(), None, None):
            status.note(HealthLine.PATCH, outcome)
    assert caplog.messages == ["patch failed", "patch works again"]
