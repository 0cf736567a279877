"""The log of a follower names each new leader, once."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.election.machine import Election
from sidecar.runtime.status import Status
from tests.support.situations import leading
from tests.support.world import Actor, World


class Follower:
    """One whose status hears of each of its moves, as the elector has it."""

    def __init__(self, actor: Actor, caplog: pytest.LogCaptureFixture) -> None:
        self._actor, self._caplog = actor, caplog
        self._before = Election(actor.election.me)
        self._status = Status()

    def leaders(self) -> list[dict[str, Any]]:
        """Whom the log names anew, after a look at the Lease."""
        self._caplog.clear()
        after = self._actor.watch().election
        self._status.absorbed(self._before, after)
        self._status.absorbed(after, after)
        self._before = after
        lines = [record for record in self._caplog.records if record.getMessage() == "new leader"]
        assert all(record.levelno == logging.INFO for record in lines)
        return [record.fields for record in lines]  # type: ignore[attr-defined]


@pytest.fixture
def follower(caplog: pytest.LogCaptureFixture) -> Iterator[tuple[World, Follower]]:
    world = leading("ABC")
    with caplog.at_level(logging.INFO):
        yield world, Follower(world["C"], caplog)


def test_the_one_it_finds_and_each_further_one_is_named_once(follower: tuple[World, Follower]) -> None:
    """Renewals say nothing, nor does a touch of a label."""
    world, one = follower
    token = world["A"].election.held
    assert token is not None
    assert one.leaders() == [{"leader": "A", "holder": "A_uid", "token": str(token.token)}]
    world.run(seconds=6)
    world.api.touch()
    assert one.leaders() == []
    world.api.edit(holderIdentity="web-9_u9")
    assert [found["leader"] for found in one.leaders()] == ["web-9"]
    assert one.leaders() == []


def test_nobody_and_itself_are_no_new_leader(follower: tuple[World, Follower]) -> None:
    world, one = follower
    one.leaders()
    world.api.edit(holderIdentity="")
    assert one.leaders() == []
    world.api.edit(holderIdentity="C_uid")
    assert one.leaders() == []
