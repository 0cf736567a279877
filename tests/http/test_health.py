"""Health routes: liveness only where a restart would help, readiness once the Lease was seen."""

from sidecar.clock import ns
from sidecar.runtime.health_lines import HealthLine
from tests.http.conftest import CLOCK, Client, FakeRunner


async def test_a_follower_is_healthy_on_both_listeners(client: Client, probe: Client, runner: FakeRunner) -> None:
    """`ok`, or every check with ?verbose."""
    runner.follow()
    for asked in (client, probe):
        for route in ("/healthz", "/livez", "/readyz"):
            response = await asked.get(route)
            assert (response.status, await response.text()) == (200, "ok\n")
            assert "check passed" in await (await asked.get(f"{route}?verbose")).text()
            assert (await asked.head(route)).status == 200


async def test_an_api_outage_is_no_reason_to_restart_or_to_be_unready(client: Client, runner: FakeRunner) -> None:
    """What fails stands in /readyz?verbose all the same."""
    runner.status.problems[HealthLine.PATCH] = "no answer within 4 s"
    runner.status.watch = "connecting"
    assert (await client.get("/livez")).status == 200
    response = await client.get("/readyz?verbose")
    text = await response.text()
    assert response.status == 200
    assert "[-]patch failed: no answer within 4 s" in text
    assert "[-]watch failed: connecting" in text


async def test_before_the_lease_was_seen_it_is_live_and_not_ready(client: Client, runner: FakeRunner) -> None:
    """A startup probe asks /livez."""
    runner.status.lease_seen = False
    assert (await client.get("/livez")).status == 200
    response = await client.get("/readyz")
    assert response.status == 500
    assert "[-]lease failed" in await response.text()


async def test_a_stuck_loop_an_overdue_claim_and_a_duplicate_identity_fail_liveness(client: Client, runner: FakeRunner) -> None:
    """Each alone."""
    runner.status.turns_by_ns = CLOCK.boottime_ns() - ns(11)
    assert "[-]loop failed" in await (await client.get("/livez")).text()
    runner.status.turns_by_ns = CLOCK.boottime_ns()
    assert (await client.get("/livez")).status == 200
    runner.lead(for_seconds=-3)
    assert "[-]lease-in-time failed" in await (await client.get("/livez")).text()
    runner.follow()
    runner.status.conflict = "another process writes under the identity web-0_u1"
    response = await client.get("/livez")
    assert response.status == 500
    assert "another process" in await response.text()
