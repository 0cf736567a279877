"""Log lines: one a line, for people or for machines, on standard error."""

import asyncio
import io
import json
import logging
import time
from collections.abc import Callable, Iterator

import pytest

from sidecar import logs, watchdog, wiring
from tests.http.conftest import CLOCK, FakeRunner, as_runner

CREATED_SECONDS = 1_790_000_000.123


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What the process's log has written since the last look; the logging of the tests is put back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = before
    root.setLevel(level)


def test_a_text_line_has_time_level_message_and_fields(written: Callable[[], str]) -> None:
    """UTC with milliseconds; what is no plain word stands in quotes, so that a line can be taken apart again."""
    logs.configure("text", "info")
    logs.event(logging.getLogger("sidecar"), logging.INFO, "leading", lease="web", token=7, why='it said "yes"\nand more', empty="")
    line = written()
    assert line.count("\n") == 1
    when, rest = line.rstrip("\n").split(" ", 1)
    assert len(when) == len("2026-11-23T08:00:00.123Z")
    assert when.endswith("Z")
    assert rest == r'INFO    leading lease=web token=7 why="it said \"yes\"\nand more" empty=""'


def test_a_json_line_is_one_object_with_the_fields_beside_the_message(written: Callable[[], str]) -> None:
    """Whatever a field holds."""
    logs.configure("json", "info")
    logs.event(logging.getLogger("sidecar"), logging.WARNING, "patch failed", why="forbidden\nby RBAC", token=7, odd={1})
    text = written()
    assert text.count("\n") == 1
    line = json.loads(text)
    assert (line["level"], line["message"], line["logger"]) == ("warning", "patch failed", "sidecar")
    assert (line["why"], line["token"], line["odd"]) == ("forbidden\nby RBAC", 7, "{1}")
    assert line["time"].endswith("Z")


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is not on UTC."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_the_time_is_the_records_own_in_utc() -> None:
    """Whatever TZ says."""
    record = logging.makeLogRecord({"msg": "leading", "created": CREATED_SECONDS, "levelname": "INFO"})
    assert logs.TextFormatter().format(record).startswith("2026-09-21T14:13:20.123Z ")
    assert json.loads(logs.JSONFormatter().format(record))["time"] == "2026-09-21T14:13:20.123Z"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_is_told_whole(written: Callable[[], str], log_format: logs.LogFormat) -> None:
    """In JSON it is a field: still one line."""
    logs.configure(log_format, "info")
    try:
        int("of all things")
    except ValueError:
        logging.getLogger("sidecar").exception("a bug")
    text = written()
    assert "ValueError: invalid literal" in text
    if log_format == "json":
        assert "of all things" in json.loads(text)["exception"]


def test_nothing_below_the_level_is_logged_and_libraries_are_quiet(written: Callable[[], str]) -> None:
    """An access log of probes is of no use to anybody, at any level."""
    logs.configure("text", "debug")
    logging.getLogger("aiohttp.access").info("GET /livez")
    logging.getLogger("kubernetes_asyncio").debug("a request")
    logging.getLogger("sidecar").debug("looked at")
    logs.configure("text", "warning")
    logs.event(logging.getLogger("sidecar"), logging.INFO, "following")
    assert [line.split(maxsplit=2)[2] for line in written().splitlines()] == ["looked at"]


# ---- what others wrote ---------------------------------------------------------------------------------------------------------------

HOSTILE = [
    "a\n2026-11-23T08:00:00.000Z INFO    leading",
    "\x1b[2J\x07",
    "\r\n\r\n",
    "\u2028\u202e\u2066",
    "\ud800",
    'x" token="9',
    "é" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_whatever_a_text_holds_it_begins_no_line_and_turns_none(written: Callable[[], str], log_format: logs.LogFormat, text: str) -> None:
    """As a field, a message or an exception; and what is cut says so."""
    logs.configure(log_format, "info")
    logger = logging.getLogger("sidecar")
    logs.event(logger, logging.WARNING, "patch failed", why=text, more=[text])
    logger.warning("no event of ours: %s", text)
    logger.error("a bug", exc_info=ValueError(text))
    lines = written().removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 13_000
    assert not [line for line in lines if not line.startswith(("2", "    ", "{"))]
    assert len([line for line in lines if line.startswith(("2", "{"))]) == 3
    if len(text) > 1000:
        assert "characters more)" in lines[0]
    if log_format == "json":
        for line in lines:
            json.dumps(json.loads(line), ensure_ascii=False).encode()
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        assert len(text) > 1000 or json.loads(lines[0])["why"] == whole


# ---- floods --------------------------------------------------------------------------------------------------------------------------


class Written:
    """What a log with a clock of its own writes: as (message, left_out)."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logs.Sparing(self.stream)
        self.handler.setFormatter(logs.JSONFormatter())
        self.now_seconds = CREATED_SECONDS

    def say(self, message: str, place: int = 1, **more: object) -> None:
        """A line from that place, now."""
        made = {"name": "sidecar", "msg": message, "lineno": place, "created": self.now_seconds, "levelname": "WARNING"}
        self.handler.handle(logging.makeLogRecord(made | more))

    def lines(self) -> list[tuple[str, int]]:
        """Since the last look."""
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        self.stream.truncate(0)
        self.stream.seek(0)
        return [(line["message"], line.get("left_out", 0)) for line in found]


def test_from_one_place_comes_one_line_a_second_and_the_next_says_how_many_were_left_out() -> None:
    """Ten seconds of a thousand lines each."""
    log = Written()
    for number in range(10_000):
        log.now_seconds = CREATED_SECONDS + number / 1000
        log.say(f"line {number}")
    lines = log.lines()
    assert len(lines) == 10
    assert [left_out for _, left_out in lines] == [0] + [999] * 9
    log.handler.close()
    assert log.lines() == [("line 9999", 998)], "nothing stays untold"


def test_when_it_calms_down_the_last_line_is_written_and_with_it_the_number() -> None:
    """By the next line of any place, or by the process's own beat, and once."""
    log = Written()
    for number in range(5):
        log.say(f"line {number}")
    log.say("elsewhere", place=2)
    assert log.lines() == [("line 0", 0), ("elsewhere", 0)]
    log.now_seconds += 1
    log.say("elsewhere again", place=2)
    assert log.lines() == [("elsewhere again", 0), ("line 4", 3)]
    log.say("line 5")
    log.handler.catch_up(log.now_seconds + 0.9)
    assert log.lines() == []
    log.handler.catch_up(log.now_seconds + 1)
    assert log.lines() == [("line 5", 0)]
    log.handler.catch_up(log.now_seconds + 60)
    assert log.lines() == []


def test_a_wall_clock_that_is_set_back_silences_nobody() -> None:
    log = Written()
    log.say("before")
    log.now_seconds -= 3600
    log.say("after")
    assert log.lines() == [("before", 0), ("after", 0)]


def test_moves_of_the_election_are_always_written_and_what_is_about_another_thing_is_another_place(written: Callable[[], str]) -> None:
    logs.configure("text", "info")
    logger = logging.getLogger("sidecar")
    for number in range(20):
        logs.move(logger, logging.INFO, "leading", token=number)
        for what in ("read", "patch"):
            logs.event(logger, logging.WARNING, f"{what} failed", about=what, why="forbidden")
    lines = written().splitlines()
    assert sum("leading" in line for line in lines) == 20
    assert (sum("read failed" in line for line in lines), sum("patch failed" in line for line in lines)) == (1, 1)


def test_events_of_two_places_are_not_one(written: Callable[[], str]) -> None:
    """The place is the caller's, not this module's own."""
    logs.configure("text", "info")
    logs.event(logging.getLogger("sidecar"), logging.WARNING, "here")
    logs.event(logging.getLogger("sidecar"), logging.WARNING, "there")
    assert len(written().splitlines()) == 2


def test_tracebacks_of_asyncio_are_counted_like_all_else(written: Callable[[], str]) -> None:
    """A full descriptor table wrote 1,500 of them a second."""
    logs.configure("text", "info")
    loop = asyncio.new_event_loop()
    for _ in range(1000):
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many open files")})
    loop.close()
    assert written().count("Too many open files") == 1
    logs.catch_up(time.time() + 2)
    assert "left_out=998" in written()


def test_places_without_end_are_not_remembered_without_end() -> None:
    log = Written()
    for place in range(3 * logs.MAX_PLACES):
        log.say("x", place=place)
    assert len(log.handler._places) <= logs.MAX_PLACES


async def test_the_process_tells_with_each_beat_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No further line has to come for it."""

    class Unwatched(watchdog.Watchdog):
        """Its watcher has ended: the first beat is the last."""

        def beat(self) -> bool:
            return False

    told: list[float] = []
    monkeypatch.setattr(logs, "catch_up", told.append)
    await wiring._beat(Unwatched(), as_runner(FakeRunner()), CLOCK, "text")
    assert [abs(seconds - time.time()) < 60 for seconds in told] == [True]
