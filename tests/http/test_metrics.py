"""`/metrics`: Prometheus can read it, names and units are by its conventions, and the numbers are those of the election."""

import math
from dataclasses import replace

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from sidecar.election.record import PLACEHOLDER, Record, Term
from sidecar.election.view import State
from sidecar.runtime.history import History
from tests.http.conftest import Client, FakeRunner

BASE_UNITS = ("_seconds", "_total", "_bytes", "_ratio", "_info")
COUNTS = {"leader_election_master_status", "leader_sidecar_fencing_token", "leader_sidecar_watch_open", "leader_sidecar_parked_polls",
          "leader_sidecar_streams"}  # fmt: skip
"""Gauges that have no unit."""


async def scraped(client: Client) -> dict[str, Metric]:
    """Every family by name."""
    response = await client.get("/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(await response.text())}


def value(families: dict[str, Metric], name: str, /, **labels: str) -> float:
    """Of that sample of the Lease `web`; client-go's metrics name it by `name`."""
    labels |= {} if "name" in labels else {"lease": "web"}
    (found,) = [sample.value for family in families.values() for sample in family.samples if (sample.name, sample.labels) == (name, labels)]
    return float(found)


async def test_both_listeners_serve_the_same(client: Client, probe: Client) -> None:
    assert set(await scraped(client)) == set(await scraped(probe))


async def test_names_and_units_are_by_the_conventions(client: Client) -> None:
    for family in (await scraped(client)).values():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert name in COUNTS or name.endswith(BASE_UNITS), name
        assert family.documentation.endswith((".", "name.")), name
        key, others = ("lease", "name") if name.startswith("leader_sidecar_") else ("name", "lease")
        assert name.startswith(("leader_sidecar_", "leader_election_"))
        assert all(sample.labels[key] == "web" and others not in sample.labels for sample in family.samples), name


async def test_who_leads_and_for_how_long(client: Client, runner: FakeRunner) -> None:
    """client-go's own gauge beside ours."""
    before = await scraped(client)
    assert value(before, "leader_election_master_status", name="web") == 0
    assert math.isnan(value(before, "leader_sidecar_observed_age_seconds"))
    runner.lead(token=77)
    after = await scraped(client)
    assert value(after, "leader_election_master_status", name="web") == 1
    assert value(after, "leader_sidecar_fencing_token") == 77
    assert 9 < value(after, "leader_sidecar_expires_in_seconds") <= 10
    assert value(after, "leader_sidecar_watch_open") == 1


async def test_counters_are_those_of_the_elector(client: Client, runner: FakeRunner) -> None:
    status = runner.status
    status.requests["patch", "done"] += 3
    status.moves[State.LEADING] += 2
    status.slow_paths += 1
    for seconds in (0.004, 0.004, 99):
        status.renewal.observe(seconds)
    families = await scraped(client)
    assert value(families, "leader_sidecar_requests_total", verb="patch", outcome="done") == 3
    assert value(families, "leader_sidecar_transitions_total", state="leading") == 2
    assert value(families, "leader_election_slowpath_total", name="web") == 1
    bucket = "leader_sidecar_renewal_duration_seconds_bucket"
    assert [value(families, bucket, le=bound) for bound in ("0.0025", "0.005", "10.0", "+Inf")] == [0, 2, 2, 3]
    assert value(families, "leader_sidecar_renewal_duration_seconds_sum") == pytest.approx(99.008)


def record(holder: str, token: int | None = None, *, released: bool = False, at_us: int = 1) -> Record:
    """As a sidecar writes it."""
    return Record("7", holder, 15, acquire_time_us=at_us, renew_time_us=5, term=Term(holder or "a_1", token=token, released=released))


def test_history_tells_who_led_and_how_it_ended() -> None:
    """A release, an emptied Lease and another holder end a term; a renewal, the placeholder and a missing Lease do not."""
    history = History()
    for seen in (
        record("", released=True),
        record("a_1", 1),
        record("a_1", 1),
        None,
        record(PLACEHOLDER, 1),
        record("a_1", 1),
        record("", 1, released=True),
        record("b_2", 2),
        record("", 2),
        record("b_2", 3, at_us=2),
        record("c_3", 4),
    ):
        history.see(seen, 9)
    assert [(term.holder, term.token, term.ended) for term in history.terms] == [
        ("a_1", 1, "released"),
        ("b_2", 2, "emptied"),
        ("b_2", 3, "replaced"),
        ("c_3", 4, None),
    ]


def test_history_is_bounded() -> None:
    history = History()
    for token in range(1000):
        history.see(record("a_1", token), 9)
    assert len(history.terms) == 100
    assert history.terms[-1].token == 999


async def test_history_is_served_newest_first(client: Client, runner: FakeRunner) -> None:
    runner.history.see(record("web-0_u1", 1), 1_790_000_000_000_000)
    runner.history.see(record("web-1_u2", 2), 1_790_000_000_000_000)
    terms = (await (await client.get("/history")).json())["terms"]
    assert [term["name"] for term in terms] == ["web-1", "web-0"]
    assert terms[1] == {
        "name": "web-0", "holder": "web-0_u1", "fencing_token": 1, "from": "1970-01-01T00:00:00.000001Z",
        "to": "2026-09-21T14:13:20.000000Z", "ended": "replaced",
    }  # fmt: skip


async def test_members_are_oneself_who_leads_and_who_stands_by(client: Client, runner: FakeRunner) -> None:
    """A Lease names no others, and the answer says so."""
    runner.follow()
    runner.known = replace(runner.known, record=Record("1", holder="web-1_u2", standbys=("web-0_u1", "web-2_u3")))
    body = await (await client.get("/members")).json()
    assert body["complete"] is False
    assert [(member["name"], member["state"], member["self"]) for member in body["members"]] == [
        ("web-0", "following", True),
        ("web-1", "leading", False),
        ("web-2", "following", False),
    ]
