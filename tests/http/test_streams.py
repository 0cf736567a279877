"""`GET /leader/events`: the present state, each change, each new deadline on request; and `/sse` for who comes from nais."""

import asyncio
import json

import pytest
from aiohttp import ClientResponse

from sidecar.http import leader
from tests.http.conftest import Client, FakeRunner


class Stream:
    """The events of one response."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, str]:
        """The next event's fields, or the next comment's, under ""."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while (line := (await self.response.content.readline()).decode()) != "\n":
                assert line, "the stream has ended"
                name, _, value = line.rstrip("\n").partition(":")
                fields[name] = value.strip()
        return fields

    async def data(self) -> dict[str, object]:
        """The next event's data."""
        while "data" not in (fields := await self.next()):
            pass
        found = json.loads(fields["data"])
        assert isinstance(found, dict)
        return found


async def stream(client: Client, path: str = "/leader/events", **headers: str) -> Stream:
    """An open one."""
    response = await client.get(path, headers=headers)
    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    return Stream(response)


@pytest.fixture
async def events(client: Client, runner: FakeRunner) -> Stream:
    """A stream over a leader."""
    runner.lead()
    return await stream(client)


async def test_it_begins_with_a_retry_hint_and_the_present_state(events: Stream) -> None:
    """No `expires_in`: it may have waited in a buffer."""
    assert await events.next() == {"retry": "1000"}
    first = await events.next()
    body = json.loads(first["data"])
    assert first["id"] == body["version"]
    assert "event" not in first
    assert body["is_leader"] is True
    assert body["valid_until_boottime_ns"] > 0
    assert "expires_in" not in body


async def test_a_change_is_told_and_a_renewal_is_not(events: Stream, runner: FakeRunner) -> None:
    await events.data()
    runner.lead(for_seconds=20)
    runner.follow()
    assert (await events.data())["state"] == "following"


async def test_on_request_each_new_deadline_is_told_as_well(client: Client, runner: FakeRunner) -> None:
    """`event: renewed`, under the same version."""
    runner.lead()
    told = await stream(client, "/leader/events?renewals=1")
    first = await told.data()
    runner.lead(for_seconds=20)
    renewed = await told.next()
    assert renewed["event"] == "renewed"
    assert renewed["id"] == first["version"]
    assert json.loads(renewed["data"])["valid_until_boottime_ns"] > int(str(first["valid_until_boottime_ns"]))


async def test_an_end_that_nobody_publishes_is_told(client: Client, runner: FakeRunner) -> None:
    """By the clock alone (S2)."""
    runner.lead(for_seconds=0.3)
    told = await stream(client)
    assert (await told.data())["is_leader"] is True
    assert (await told.data())["is_leader"] is False


async def test_a_deadline_in_an_event_is_one_that_was_given(events: Stream, runner: FakeRunner) -> None:
    """It will be kept (S11)."""
    body = await events.data()
    assert runner.leadership.given_until_ns == body["valid_until_boottime_ns"]


async def test_who_has_the_present_state_is_not_told_it_again(client: Client, runner: FakeRunner) -> None:
    """`Last-Event-ID`, as a browser sends it when it connects again; that of another life is another."""
    runner.lead()
    version = runner.leadership.read().version
    told = await stream(client, **{"Last-Event-ID": version})
    assert await told.next() == {"retry": "1000"}
    runner.follow()
    assert (await told.data())["state"] == "following"
    other = await stream(client, **{"Last-Event-ID": "another-7"})
    assert (await other.data())["state"] == "following"


async def test_a_comment_comes_where_nothing_else_does(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that both sides see that the other is there."""
    monkeypatch.setattr(leader, "COMMENT_SECONDS", 0.05)
    told = await stream(client)
    await told.data()
    assert await told.next() == {"": ""}


async def test_one_stream_too_many_is_told_to_come_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "MAX_STREAMS", 1)
    first = await stream(client)
    await first.data()
    response = await client.get("/sse")
    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert "poll /leader" in (await response.json())["message"]


async def test_at_the_end_the_final_state_is_told_and_the_stream_ends(client: Client, runner: FakeRunner) -> None:
    """First that nobody leads here, then the end."""
    runner.lead()
    told = await stream(client)
    await told.data()
    runner.follow("", None)
    runner.leadership.close()
    assert (await told.data())["is_leader"] is False
    assert await asyncio.wait_for(told.response.content.read(), 5) == b""


async def test_the_older_stream_is_a_name_at_each_change(client: Client, runner: FakeRunner) -> None:
    """nais/runner's `/sse`."""
    runner.lead()
    told = await stream(client, "/sse")
    first = await told.data()
    assert first["name"] == "web-0"
    assert set(first) == {"name", "last_update"}
    runner.follow()
    assert (await told.data())["name"] == "web-1"


async def test_an_unusable_flag_is_refused(client: Client) -> None:
    response = await client.get("/leader/events?renewals=yes")
    assert response.status == 400
    assert "renewals=1" in (await response.json())["message"]


async def test_a_client_that_has_gone_is_forgotten(client: Client, runner: FakeRunner) -> None:
    told = await stream(client)
    await told.data()
    told.response.close()
    async with asyncio.timeout(10):
        while runner.leadership.waiters:  # noqa: ASYNC110 - a counter, and no event of ours to wait on
            await asyncio.sleep(0.01)
