"""Whatever stands in a Lease: no route fails, no line is forged, and what can be told is told (S10, for those who read it)."""

import json
import logging
import random
from collections.abc import Iterator

import pytest

from sidecar import logs
from sidecar.election.machine import Election
from sidecar.election.record import GROUP_ANNOTATION, STANDBY_ANNOTATION, SUCCESSOR_ANNOTATION, TERM_ANNOTATION, parse, pod_name
from sidecar.election.situation import Situation
from sidecar.election.store import Denied, Unknown
from sidecar.election.view import State
from sidecar.runtime.health_lines import HealthLine
from tests.http.conftest import ME, Client, FakeRunner

PIECES = (
    "\n", "\r\n", "\r", "\x00", "\x07", "\x1b[2J\x1b[31m", "\x85", "\x9b31m", "\u2028", "\u2029", "\u202e", "\u2066", "\u200f", "\ufeff",
    "\ud800", "\udc00", "\ud83d", "\U0001f600", "\U000e0041", "\uffff", "\\", "\\n", "\\ud800", '"', "'", "&", "}", "<script>", "</script>",
    "=", " ", "\t", "data: x", "\n\nevent: x\ndata: ", "[+]ping ok", "\nreadyz check passed", "# TYPE x gauge", "é", "日本", "web-0_u1",
    "%s", "{}", "\u0301",
)  # fmt: skip
SEED = random.randrange(1 << 30)


def hostile_texts() -> list[str]:
    """Each piece alone, a text of 100,000 letters, and some that are put together at random."""
    rng = random.Random(SEED)
    mixed = ["".join(rng.choices(PIECES, k=rng.randrange(2, 12))) for _ in range(60)]
    return [*(f"a{piece}b" for piece in PIECES), *PIECES, "é" * 100_000, "a\n" * 50_000, *mixed]


def hold(runner: FakeRunner, text: str) -> None:
    """It stands wherever a Lease or an API server has room for a text, and the sidecar has seen it."""
    term = {"holder": text, "token": 5, "process": text, "place": text, "pod": {"name": text, "uid": text, "renewed": text}, text: text}
    annotations = {
        GROUP_ANNOTATION: text,
        SUCCESSOR_ANNOTATION: text,
        STANDBY_ANNOTATION: json.dumps([text[:400], "x" + text[:400]]),
        TERM_ANNOTATION: json.dumps(term),
    }
    spec = {"holderIdentity": text, "acquireTime": text, "renewTime": text, "leaseTransitions": text, "leaseDurationSeconds": text}
    record = parse({"metadata": {"resourceVersion": "7", "annotations": annotations}, "spec": spec})
    assert record.holder == text, "the record keeps it whole: two holders never become one"
    runner.known = Situation(ME, record=record)
    runner.history.terms.clear()
    runner.history.see(record, 0)
    runner.status.absorbed(Election(ME), Election(ME, state=State.FOLLOWING, why=f"{text} leads", record=record))
    runner.status.note(HealthLine.PATCH, Denied(text))
    runner.status.unwatched(Unknown(text))
    runner.follow(holder=text, for_seconds=3600)


def told(text: str) -> str:
    """What JSON can tell of it: pairs joined, U+FFFD for half of one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def test_every_route_tells_it_and_none_is_broken_by_it(client: Client, probe: Client, runner: FakeRunner) -> None:
    """On both listeners: JSON that a strict reader takes, text whose lines are all the sidecar's own, headers without it."""
    print(f"seed {SEED}")
    for text in hostile_texts():
        hold(runner, text)
        for path in ("/leader", "/", "/is-leader", "/history", "/members", "/nothing"):
            response = await client.get(path)
            body = await response.read()
            assert response.status in {200, 404, 503}
            assert body.isascii()
            found = json.loads(body)
            json.dumps(found, ensure_ascii=False).encode()  # raises where half of a pair is left
            for key in {"holder", "name"} & found.keys():
                assert found[key] == told(text if key == "holder" else pod_name(text))
        members = (await (await client.get("/members")).json())["members"]
        assert {told(text), *([told(f"x{text}")] if len(text) < 400 else [])} <= {member["identity"] for member in members}
        terms = (await (await client.get("/history")).json())["terms"]
        assert [term["holder"] for term in terms] == [told(text)]
        for asked in (client, probe):
            await assert_texts_are_the_sidecars_own(asked, text, classic=asked is client)


async def assert_texts_are_the_sidecars_own(asked: Client, text: str, *, classic: bool) -> None:
    """Lines, and what is cut."""
    for path in ("/readyz?verbose", "/livez?verbose", "/metrics", *(["/health"] if classic else [])):
        response = await asked.get(path)
        lines = (await response.text()).removesuffix("\n").split("\n")
        assert response.status == 200
        assert all(line.isprintable() for line in lines), path
        if path.startswith("/readyz"):
            assert [line.partition(" ")[0] for line in lines] == ["[+]lease", "[+]loop", "[-]watch", "[-]contending", "[-]patch", "readyz"]
        elif path == "/health":
            assert len(lines) == 1
        if len(text) > 1000 and path != "/metrics" and "livez" not in path:
            assert any(" characters more)" in line for line in lines)
            assert max(map(len, lines)) < 4000


async def test_a_conflict_and_a_stream_tell_it_too(client: Client, runner: FakeRunner) -> None:
    """An event is the same lines whoever leads."""
    for text in hostile_texts()[::7]:
        hold(runner, text)
        runner.status.conflict = text
        response = await client.get("/livez?verbose")
        assert response.status == 500
        assert [line[:3] for line in (await response.text()).splitlines()] == ["[+]", "[+]", "[-]", "liv"]
        for path, before in (("/leader/events", ["retry: 1000", "", "id: "]), ("/sse", ["retry: 1000", ""])):
            stream = await client.get(path)
            lines = [(await stream.content.readuntil(b"\n")).decode() for _ in range(len(before) + 2)]
            assert [line[: len(start)] for line, start in zip(lines, before, strict=False)] == before
            assert lines[-2].startswith("data: {")
            assert lines[-1] == "\n"
            assert json.loads(lines[-2].removeprefix("data: "))["name"] == told(pod_name(text))
            stream.close()


@pytest.fixture
def root() -> Iterator[None]:
    """The logging of the tests is put back."""
    logger = logging.getLogger()
    before, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_line_of_the_log_is_forged_by_it(capsys: pytest.CaptureFixture[str], log_format: logs.LogFormat) -> None:
    """One line an event, in either format, each printable, and short."""
    for text in hostile_texts():
        logs.configure(log_format, "info")
        capsys.readouterr()
        hold(FakeRunner(), text)
        lines = capsys.readouterr().err.removesuffix("\n").split("\n")
        assert len(lines) == 3, text
        assert all(line.isprintable() for line in lines)
        assert max(map(len, lines)) < 15_000
        if log_format == "json":
            fields = [json.loads(line) for line in lines]
            json.dumps(fields, ensure_ascii=False).encode()
            assert len(text) > 900 or fields[1]["holder"] == told(text)
