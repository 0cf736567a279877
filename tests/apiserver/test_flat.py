"""Resident memory of a real process stays where it is: over polls, handovers, and an outage of the API server."""

import http.client
import os
import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.apiserver.conftest import Field
from tests.apiserver.proxy import Mode
from tests.apiserver.sidecar_process import Sidecar, ending, the_leader, until
from tests.support.share import first

MB = 1_000_000
POLLS = first([2000, 10_000])
HANDOVERS = first([100, 500])
RETRIES = [("unanswered", 25), ("refused", 60), pytest.param("refused", 250, marks=pytest.mark.long)]
"""250: what a sidecar tries in an outage of ten minutes, at 1 to 1.4 retry periods of 2 s."""
QUICK = {"LEADER_LEASE_DURATION": "1s", "LEADER_RENEW_DEADLINE": "600ms", "LEADER_RETRY_PERIOD": "50ms"}


def resident_bytes(sidecar: Sidecar) -> int:
    """Of its memory."""
    return int(Path(f"/proc/{sidecar.pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def requests(sidecar: Sidecar) -> float:
    """How many it has made of its store."""
    return sidecar.metric("leader_sidecar_requests_total")


def grown(sidecars: list[Sidecar], what: Callable[[int], None], times: int) -> float:
    """By how many MB the one that grew most is larger after `times` than after the first tenth of them, which loads what that needs."""
    what(times // 10)
    before = [resident_bytes(sidecar) for sidecar in sidecars]
    what(times - times // 10)
    return max(resident_bytes(sidecar) - was for sidecar, was in zip(sidecars, before, strict=True)) / MB


@pytest.fixture
def two(tmp_path: Path) -> list[Sidecar]:
    """On one local store, not yet started."""
    settings = {"LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web"}
    return [Sidecar(f"web-{number}", tmp_path, settings | QUICK, uid=uuid.uuid4().hex) for number in range(2)]


@pytest.mark.parametrize("polls", POLLS)
def test_flat_over_thousands_of_polls(two: list[Sidecar], polls: int) -> None:
    with ending(two[:1]) as [it]:
        it.start().serving()
        until(it.leads, within_seconds=10)
        connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=30)

        def poll(times: int) -> None:
            for number in range(times):
                connection.request("GET", "/leader?since=other&wait=30s" if number % 2 else "/leader")
                assert connection.getresponse().read()

        assert grown([it], poll, polls) < 1
        connection.close()


@pytest.mark.parametrize("handovers", HANDOVERS)
def test_flat_over_hundreds_of_handovers(two: list[Sidecar], handovers: int) -> None:
    """From one to the other and back; each makes five requests in any second at most (L2), so it takes a while."""
    with ending(two):
        for sidecar in two:
            sidecar.start().serving()
        tokens = []

        def hand_over(times: int) -> None:
            for _ in range(times):
                leader = the_leader(two, within_seconds=10)
                other = two[1 - two.index(leader)]
                tokens.append(int(leader.leader()["fencing_token"]))
                assert leader.ask("/drained", method="POST", body={"token": tokens[-1]}).status == 200
                until(other.leads, within_seconds=10, every_seconds=0.002)
                leader.ask("/campaign", method="POST")

        assert grown(two, hand_over, handovers) < 1
    assert len(tokens) == handovers
    assert all(later > earlier for earlier, later in pairwise(tokens))


@pytest.mark.parametrize(("kind", "attempts"), RETRIES)
def test_flat_over_an_outage_of_the_api_server(ground: Field, kind: str, attempts: int) -> None:
    """As many attempts as it makes in minutes; and it leads again afterwards."""
    sidecar = ground.sidecar("web-0", proxied=True, times=QUICK | {"LEADER_LEASE_DURATION": "2s", "LEADER_RENEW_DEADLINE": "1s"})
    proxy = ground.proxies[0]
    sidecar.start().serving()
    until(sidecar.leads, within_seconds=20)
    if kind == "refused":
        proxy.refuse()
    else:
        proxy.mode = Mode.BLACK_HOLE

    def fail(times: int) -> None:
        tried = requests(sidecar)
        until(lambda: requests(sidecar) >= tried + times, within_seconds=120, every_seconds=0.1)

    assert grown([sidecar], fail, attempts) < 1
    if kind == "refused":
        proxy.accept_again()
    proxy.heal()
    until(sidecar.leads, within_seconds=20)
