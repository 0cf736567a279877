"""The app and probe listeners over an election whose view a test sets by hand."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from sidecar.clock import SystemClock, ns
from sidecar.election.requests import Candidate
from sidecar.election.situation import Situation
from sidecar.election.view import State, View
from sidecar.http import app, probes
from sidecar.http.leader import Waiting
from sidecar.http.local_only import local_only
from sidecar.http.protocol import Check, speak
from sidecar.runtime.app_end import Sign
from sidecar.runtime.history import History
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner, WrongStateError
from sidecar.runtime.status import Status

if TYPE_CHECKING:
    from tests.http.stand_in import StandIn

Client = TestClient[web.Request, web.Application]
CLOCK = SystemClock()
ME = Candidate("web-0_u1", "process", "place", 15, 10, 2, 10)


@dataclass
class FakeRunner:
    """What the listeners see of an election."""

    leadership: Leadership = field(default_factory=lambda: Leadership(CLOCK, Names("web-0_u1", "web", "shop", "boot")))
    status: Status = field(default_factory=lambda: Status(lease_seen=True, turns_by_ns=CLOCK.boottime_ns(), watch="open"))
    history: History = field(default_factory=History)
    candidate: Candidate = ME
    drained_with: list[int | None] = field(default_factory=list)
    resigned_with: list[tuple[float | None, str]] = field(default_factory=list)
    campaigns: int = 0
    season: bool = True
    known: Situation = field(default_factory=lambda: Situation(ME))
    signs: list[Sign] = field(default_factory=list)

    def situation(self) -> Situation:
        """What the election knows."""
        return self.known

    def drained(self, token: int | None) -> None:
        """Note the command."""
        if not self.season:
            raise WrongStateError("nothing to release")
        self.drained_with.append(token)

    def resign(self, out_seconds: float | None, successor: str) -> None:
        """Note the command."""
        if not self.season:
            raise WrongStateError("only a leader resigns")
        self.resigned_with.append((out_seconds, successor))

    def campaign(self) -> None:
        """Note the command."""
        if not self.season:
            raise WrongStateError("there is no resignation to end")
        self.campaigns += 1

    def lead(self, for_seconds: float = 10, token: int = 7) -> None:
        """Publish a term."""
        until_ns = CLOCK.boottime_ns() + ns(for_seconds)
        self.leadership.publish(
            View(State.LEADING, "web-0_u1", token, until_ns, until_ns, 1_790_000_000_000_000, 1_790_000_000_000_000, 3, CLOCK.boottime_ns())
        )

    def follow(self, holder: str = "web-1_u2", token: int | None = 8, for_seconds: float = 15) -> None:
        """Publish somebody else's term."""
        until_ns = CLOCK.boottime_ns() + ns(for_seconds)
        self.leadership.publish(View(State.FOLLOWING, holder, token, until_ns, None, transitions=3, confirmed_ns=CLOCK.boottime_ns()))


@pytest.fixture
def runner() -> FakeRunner:
    """Starting, until a test says otherwise."""
    return FakeRunner()


def as_runner(fake: FakeRunner) -> Runner:
    """Only what the listeners use is there."""
    return fake  # type: ignore[return-value]


async def spoken(aiohttp_client: Callable[..., Awaitable[Client]], application: web.Application, only_from: Check | None) -> Client:
    """A client of that listener, which speaks HTTP as production has it."""
    found = await aiohttp_client(application)
    assert found.server.runner is not None
    server = found.server.runner.server
    assert server is not None
    speak(server, application, only_from)
    return found


@pytest.fixture
async def client(runner: FakeRunner, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """Of the app listener."""
    return await spoken(aiohttp_client, app.application(as_runner(runner), CLOCK, Waiting(runner.leadership)), local_only)


@pytest.fixture
async def probe(runner: FakeRunner, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """Of the probe listener."""
    return await spoken(aiohttp_client, probes.application(as_runner(runner), CLOCK, Waiting(runner.leadership)), None)


@pytest.fixture(scope="module")
def stand_in() -> "Iterator[StandIn]":
    """Both listeners in a process of their own, over a leader that takes every command."""
    from tests.http.stand_in import StandIn  # noqa: PLC0415 - it is made of what stands here

    it = StandIn()
    yield it
    said = it.end()
    assert it.process.returncode == 0
    assert said == "", "no traceback, whatever came"
