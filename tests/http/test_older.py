"""What the older leader-elector sidecars serve, asked for in their clients' own ways: they see what they expect."""

import json

import pytest

from tests.http.conftest import Client, FakeRunner


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "application/json", "User-Agent": "Go-http-client/1.1"}])
async def test_get_root_names_the_leader(client: Client, runner: FakeRunner, headers: dict[str, str]) -> None:
    """contrib, instana, krmcbride: `{"name"}`; nais: with `last_update`."""
    runner.lead()
    response = await client.get("/", headers=headers)
    assert response.status == 200
    body = json.loads(await response.read())
    assert body == {"name": "web-0", "last_update": runner.leadership.read().renewed_at}


async def test_while_nobody_leads_the_name_is_empty(client: Client) -> None:
    """As contrib has it; a nais client reads a missing name the same way."""
    body = await (await client.get("/")).json()
    assert body == {"name": "", "last_update": None}


async def test_a_leader_whose_lease_has_run_out_is_not_named(client: Client, runner: FakeRunner) -> None:
    """Where the older ones go on naming it."""
    runner.lead(for_seconds=0)
    assert (await (await client.get("/")).json())["name"] == ""


async def test_a_browser_gets_the_page(client: Client) -> None:
    """One file that loads nothing from elsewhere."""
    response = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert response.content_type == "text/html"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    page = await response.text()
    assert "http:" not in page
    assert "https:" not in page
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "innerHTML" not in page, "an identity is text"


async def test_health_is_instanas(client: Client, runner: FakeRunner) -> None:
    """200 where somebody leads, 500 where nobody does: whatever probes by it was written for that."""
    response = await client.get("/health")
    assert (response.status, await response.text()) == (500, "Invalid leader")
    runner.follow()
    response = await client.get("/health")
    assert (response.status, await response.text()) == (200, "Valid leader set: &{web-1}")
