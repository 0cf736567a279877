"""Log lines: one a line, for people or for machines, on standard error."""

import json
import logging
import time
from collections.abc import Callable, Iterator

import pytest

from sidecar import logs

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
