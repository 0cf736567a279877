"""`POST /resign` and `/campaign`; `/drained` stands with the rest of the contract in `test_leader.py`."""

import pytest

from tests.http.conftest import Client, FakeRunner


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (None, (None, "")),
        ({}, (None, "")),
        ({"for": "10m"}, (600.0, "")),
        ({"to": "web-1"}, (None, "web-1")),
        ({"to": "w\u00e9b 1"}, (None, "w\u00e9b 1")),
        ({"for": "90", "to": "web-1_u2"}, (90.0, "web-1_u2")),
        ({"for": "24h"}, (86_400.0, "")),
    ],
)
async def test_resign_reaches_the_elector(
    client: Client, runner: FakeRunner, body: dict[str, str] | None, wanted: tuple[float | None, str]
) -> None:
    """Both fields are optional; the answer is the leadership as it is then."""
    response = await client.post("/resign", json=body)
    assert response.status == 200
    assert (await response.json())["state"] == "starting"
    assert runner.resigned_with == [wanted]


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"[1]",
        b'"10m"',
        b'{"for": 10}',
        b'{"for": null}',
        b'{"for": "soon"}',
        b'{"for": "-1s"}',
        b'{"for": "25h"}',
        b'{"to": ""}',
        b'{"to": " "}',
        b'{"to": "\\ud800"}',
        b" ",
        b'{"to": 1}',
        b'{"to": null}',
        b'{"to": "a\\nb"}',
        b'{"until": "10m"}',
        b"[" * 50_000,
        b"\xff\xfe",
    ],
)
async def test_an_unusable_body_is_refused_and_changes_nothing(client: Client, runner: FakeRunner, body: bytes) -> None:
    response = await client.post("/resign", data=body)
    assert response.status == 400
    message = (await response.json())["message"]
    assert "optional" in message or "write" in message or "name" in message
    assert runner.resigned_with == []


async def test_a_campaign_reaches_the_elector_and_takes_no_body(client: Client, runner: FakeRunner) -> None:
    assert (await client.post("/campaign", json={"for": "1m"})).status == 400
    assert runner.campaigns == 0
    assert (await client.post("/campaign")).status == 200
    assert runner.campaigns == 1


@pytest.mark.parametrize("path", ["/resign", "/campaign"])
async def test_out_of_season_is_409(client: Client, runner: FakeRunner, path: str) -> None:
    runner.season = False
    response = await client.post(path)
    assert response.status == 409
    assert (await response.json())["error"] == "conflict"


@pytest.mark.parametrize("path", ["/resign", "/campaign", "/drained"])
async def test_a_page_of_another_origin_commands_nothing(client: Client, runner: FakeRunner, path: str) -> None:
    """Nor does a GET."""
    response = await client.post(path, headers={"Origin": "https://evil.example"})
    assert response.status == 403
    response = await client.get(path)
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert (runner.resigned_with, runner.campaigns, runner.drained_with) == ([], 0, [])


async def test_a_probe_commands_nothing(probe: Client) -> None:
    """Nothing on that listener changes anything."""
    for path in ("/resign", "/campaign", "/drained", "/leader/events", "/"):
        assert (await probe.post(path)).status == 404
