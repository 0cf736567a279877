"""`GET /leader`, `/is-leader` and `/drained`: the contract of the app listener."""

import asyncio
import time

import pytest

from sidecar.http import leader
from tests.http.conftest import Client, FakeRunner

FIELDS = {
    "name", "is_leader", "state", "version", "fencing_token", "expires_in", "valid_until_boottime_ns", "identity", "holder", "lease",
    "namespace", "acquired_at", "renewed_at", "transitions", "observed_ago",
}  # fmt: skip


async def parked(runner: FakeRunner, polls: int = 1) -> None:
    """Wait until that many polls are parked."""
    async with asyncio.timeout(10):
        while runner.leadership.waiters < polls:  # noqa: ASYNC110 - a counter, and no event of ours to wait on
            await asyncio.sleep(0.01)


async def test_before_anything_is_seen_nobody_leads(client: Client) -> None:
    """State starting, name ""."""
    answer = await (await client.get("/leader")).json()
    assert set(answer) == FIELDS
    assert (answer["state"], answer["name"], answer["is_leader"], answer["fencing_token"]) == ("starting", "", False, None)


async def test_a_leader_says_until_when(client: Client, runner: FakeRunner) -> None:
    """expires_in and valid_until_boottime_ns are one deadline; the ETag is the version, weak; nothing may be stored."""
    runner.lead()
    response = await client.get("/leader")
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    answer = await response.json()
    assert answer["is_leader"] is True
    assert answer["name"] == "web-0"
    assert answer["acquired_at"].endswith("Z")
    assert 9 < answer["expires_in"] <= 10
    assert 0 < answer["valid_until_boottime_ns"] - now_ns <= 10e9
    assert response.headers["ETag"] == f'W/"{answer["version"]}"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "application/json"
    assert runner.leadership.given_until_ns == answer["valid_until_boottime_ns"], "a given deadline is remembered (S11)"


async def test_the_answer_expires_by_itself(client: Client, runner: FakeRunner) -> None:
    """Nobody publishes anything: past the deadline answer, version and ETag are others (S2)."""
    runner.lead(for_seconds=0.2)
    first = await (await client.get("/leader")).json()
    await asyncio.sleep(0.25)
    response = await client.get("/leader", headers={"If-None-Match": f'W/"{first["version"]}"'})
    answer = await response.json()
    assert response.status == 200
    assert (answer["is_leader"], answer["state"], answer["name"], answer["expires_in"]) == (False, "following", "", 0.0)
    assert answer["version"] != first["version"]


async def test_a_poll_is_told_when_it_changes(client: Client, runner: FakeRunner) -> None:
    """Parked with `since`, woken by a publication."""
    version = (await (await client.get("/leader")).json())["version"]
    poll = asyncio.create_task(client.get("/leader", params={"since": version, "wait": "30s"}))
    await parked(runner)
    runner.lead()
    answer = await (await asyncio.wait_for(poll, 5)).json()
    assert answer["is_leader"] is True


async def test_a_poll_is_told_of_an_end_that_nobody_publishes(client: Client, runner: FakeRunner) -> None:
    """The deadline passes while it waits."""
    runner.lead(for_seconds=0.3)
    version = (await (await client.get("/leader")).json())["version"]
    response = await asyncio.wait_for(client.get("/leader", params={"since": version, "wait": "30s"}), 5)
    assert (await response.json())["is_leader"] is False


async def test_a_poll_of_another_life_returns_at_once(client: Client) -> None:
    """A version that differs, whatever it is."""
    for since in ("boot-0", "other-1", "", "%00", "x" * 3000):
        response = await asyncio.wait_for(client.get("/leader", params={"since": since, "wait": "10m"}), 5)
        assert response.status == 200


async def test_a_poll_that_sees_no_change_ends_with_the_same_version(client: Client) -> None:
    """200 and the same version after `wait`; 304 in the If-None-Match form."""
    first = await client.get("/leader")
    version, tag = (await first.json())["version"], first.headers["ETag"]
    began = time.monotonic()
    response = await client.get("/leader", params={"since": version, "wait": "300ms"})
    assert (response.status, (await response.json())["version"]) == (200, version)
    response = await client.get("/leader", params={"wait": "0.3"}, headers={"If-None-Match": tag})
    assert (response.status, await response.read()) == (304, b"")
    assert response.headers["ETag"] == tag
    assert time.monotonic() - began > 0.5


@pytest.mark.parametrize("header", ['W/"boot-1"', '"boot-1"', '"x", W/"boot-1"', "*"])
async def test_if_none_match_without_wait_is_an_ordinary_conditional_get(client: Client, header: str) -> None:
    """304 at once, by weak comparison (RFC 9110 13.1.2)."""
    assert (await client.get("/leader", headers={"If-None-Match": header})).status == 304
    assert (await client.get("/leader", headers={"If-None-Match": '"boot-77"'})).status == 200


async def test_if_none_match_on_several_lines_is_one_list(client: Client) -> None:
    """RFC 9110 5.3; and the 304 carries what the 200 would have (15.4.5)."""
    request = await client.get("/leader", headers=[("If-None-Match", '"x"'), ("If-None-Match", 'W/"boot-1"')])
    assert request.status == 304
    assert (request.headers["ETag"], request.headers["Cache-Control"]) == ('W/"boot-1"', "no-store")


async def test_since_counts_where_if_none_match_is_sent_as_well(client: Client) -> None:
    """It ends in 200."""
    response = await client.get("/leader", params={"since": "boot-1", "wait": "100ms"}, headers={"If-None-Match": "*"})
    assert response.status == 200


async def test_wait_alone_has_nothing_to_wait_for(client: Client) -> None:
    """A first request in the form of the later ones is answered at once."""
    response = await asyncio.wait_for(client.get("/leader", params={"wait": "10m"}), 5)
    assert response.status == 200


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf", "1y", "", "1e999", "٣s"])
async def test_an_unusable_wait_is_refused_and_says_what_is_allowed(client: Client, wait: str) -> None:
    """400 in JSON."""
    response = await client.get("/leader", params={"since": "boot-1", "wait": wait})
    answer = await response.json()
    assert response.status == 400
    assert answer["error"] == "bad request"
    assert "500ms" in answer["message"]


@pytest.mark.parametrize("wait", ["1e9", "10m", "3h", "600"])
async def test_a_long_wait_counts_as_ten_minutes(client: Client, runner: FakeRunner, wait: str) -> None:
    """It is parked, not refused."""
    poll = asyncio.create_task(client.get("/leader", params={"since": "boot-1", "wait": wait}))
    await parked(runner)
    assert not poll.done()
    runner.lead()
    assert (await poll).status == 200


async def test_one_poll_too_many_is_told_to_come_back(client: Client, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After; the parked ones are not disturbed."""
    monkeypatch.setattr(leader, "MAX_PARKED", 2)
    polls = [asyncio.create_task(client.get("/leader", params={"since": "boot-1"})) for _ in range(2)]
    await parked(runner, 2)
    response = await client.get("/leader", params={"since": "boot-1"})
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    runner.lead()
    assert [(await poll).status for poll in polls] == [200, 200]


async def test_a_client_that_has_gone_is_forgotten(client: Client, runner: FakeRunner) -> None:
    """Its poll is parked no longer."""
    poll = asyncio.create_task(client.get("/leader", params={"since": "boot-1"}))
    await parked(runner)
    poll.cancel()
    for _ in range(200):
        if not runner.leadership.waiters:
            return
        await asyncio.sleep(0.01)
    pytest.fail("it is still parked")


async def test_is_leader_is_a_status(client: Client, probe: Client, runner: FakeRunner) -> None:
    """200 or 503 on both listeners, GET and HEAD; the probe listener gives no deadline that would have to be kept."""
    for asked in (client, probe):
        assert (await asked.get("/is-leader")).status == 503
    runner.lead()
    assert (await probe.get("/is-leader")).status == 200
    assert runner.leadership.given_until_ns == 0
    head = await client.head("/is-leader")
    assert (head.status, await head.read()) == (200, b"")
    assert (await (await client.get("/is-leader")).json())["fencing_token"] == 7


@pytest.mark.parametrize(("body", "token"), [(b"", None), (b"{}", None), (b'{"token": 7}', 7)])
async def test_drained_reaches_the_elector(client: Client, runner: FakeRunner, body: bytes, token: int | None) -> None:
    """With the token or without."""
    runner.lead()
    response = await client.post("/drained", data=body)
    assert response.status == 200
    assert runner.drained_with == [token]


async def test_drained_out_of_season_is_409(client: Client, runner: FakeRunner) -> None:
    """And says why."""
    runner.season = False
    response = await client.post("/drained")
    assert response.status == 409
    assert (await response.json()) == {"error": "conflict", "message": "nothing to release"}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"token": "7"}', b'{"token": true}', b'{"tokem": 7}', b"\xff", b'{"token": 1.5}', b"null", b"[" * 9999]
)
async def test_an_unusable_body_is_refused_and_changes_nothing(client: Client, runner: FakeRunner, body: bytes) -> None:
    """400, and what is allowed."""
    response = await client.post("/drained", data=body)
    assert response.status == 400
    assert "token" in (await response.json())["message"]
    assert not runner.drained_with


async def test_a_body_with_a_content_coding_is_refused(client: Client, runner: FakeRunner) -> None:
    """415, whether it could be decoded or not; more of its kind stands in `test_protocol.py`."""
    response = await client.post("/drained", data=b"abcd", headers={"Content-Encoding": "gzip"}, skip_auto_headers=["Content-Encoding"])
    assert response.status == 415
    assert "Content-Encoding" in (await response.json())["message"]
    assert not runner.drained_with


async def test_a_fault_of_our_own_is_500_without_a_traceback(
    client: Client, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That is in the log."""

    def break_down(_: int | None) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(runner, "drained", break_down)
    response = await client.post("/drained")
    assert response.status == 500
    assert set(await response.json()) == {"error", "message"}
    assert "secret" not in await response.text()
    assert "a secret" in caplog.text


async def test_a_body_that_is_too_large_is_refused(client: Client, runner: FakeRunner) -> None:
    """413."""
    assert (await client.post("/drained", data=b" " * 70_000)).status == 413
    assert not runner.drained_with


async def test_unknown_paths_and_wrong_methods_are_json_errors(client: Client, probe: Client) -> None:
    """404, and 405 with Allow; the probe listener has nothing that changes anything."""
    for asked in (client, probe):
        missing = await asked.get("/nothing")
        assert "/openapi.json" in (await missing.json())["message"]
        assert (missing.status, (await missing.json())["error"]) == (404, "not found")
        wrong = await asked.post("/is-leader")
        assert wrong.status == 405
        assert set(wrong.headers["Allow"].split(",")) == {"GET", "HEAD"}
        assert (await wrong.json())["error"] == "method not allowed"
    assert (await client.get("/drained")).status == 405
    assert (await probe.post("/drained")).status == 404
    assert (await probe.get("/leader")).status == 404


@pytest.mark.parametrize(("host", "status"), [
    ("localhost", 200), ("localhost:4040", 200), ("127.0.0.1:1", 200), ("[::1]:4040", 200), ("LOCALHOST", 200),
    ("127.0.0.2:4040", 200), ("[0:0:0:0:0:0:0:1]", 200), ("128.0.0.1", 421), ("127.0.0.1.evil.example", 421), ("0.0.0.0:4040", 421),
    ("evil.example", 421), ("10.0.0.7:4040", 421), ("localhost.evil.example", 421), ("[", 400), ("", 421),
])  # fmt: skip
async def test_only_localhosts_names_are_answered_on_the_app_listener(client: Client, probe: Client, host: str, status: int) -> None:
    """421 for any other Host, 400 for what is none; a kubelet asks the probe listener by the Pod's address."""
    response = await client.get("/leader", headers={"Host": host})
    assert response.status == status
    if status == 421:
        assert "localhost" in (await response.json())["message"]
    assert (await probe.get("/healthz", headers={"Host": "10.0.0.7:4041"})).status == 200


@pytest.mark.parametrize(("headers", "status"), [
    ({"Origin": "https://evil.example"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "null"}, 403),
    ({"Origin": "http://["}, 403), ({"Origin": ""}, 403), ({"Origin": "localhost"}, 403),
    ({"Origin": "http://localhost:1"}, 403), ({"Origin": "http://localhost:4040", "Host": "localhost:4040"}, 200),
    ({}, 200),
])  # fmt: skip
async def test_a_page_of_another_origin_commands_nothing(client: Client, runner: FakeRunner, headers: dict[str, str], status: int) -> None:
    """403 for a cross-origin POST."""
    runner.lead()
    assert (await client.post("/drained", headers=headers)).status == status
    assert bool(runner.drained_with) is (status == 200)
