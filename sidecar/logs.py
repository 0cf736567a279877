"""Structured log lines that read well: `event(logger, level, message, lease="web", token=81234)`.

A flood is counted, not copied: from one place (a logger, a function, a line) comes one line a second, and the next says how many were left
out. Moves of the election are always written.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from sidecar.escaping import MAX_CHARS, cut, plain, to_json

LogFormat = Literal["text", "json"]

LEFT_OUT_SECONDS: Final = 1.0
"""For so long after a line, further lines from the same place are counted, not written."""
MAX_PLACES: Final = 1024
"""The most places remembered at once: more than the code has."""

_LIBRARIES: Final = ("aiohttp", "asyncio", "kubernetes_asyncio")
"""Libraries whose lines are written only from WARNING on: nobody reads an access log of probes."""
_INDENT: Final = "    "
"""Before each line of a traceback, so that an exception's text cannot begin a line of the log."""


def event(logger: logging.Logger, level: int, message: str, *, about: str = "", **fields: object) -> None:
    """Log `message` with fields that a machine can read. `about`: the subject, where one place in the code reports on several."""
    logger.log(level, message, extra={"fields": fields, "about": about}, stacklevel=2)


def move(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """As `event`, for a move of the election or of the process: always written, however many come."""
    logger.log(level, message, extra={"fields": fields, "always": True}, stacklevel=2)


def around_time(log_format: LogFormat, name: str, message: str, **fields: object) -> tuple[str, str]:
    """An ERROR line for later, in two parts; the time of its writing goes between them."""
    record = logging.makeLogRecord({"name": name, "levelno": logging.ERROR, "levelname": "ERROR", "msg": message, "fields": fields})
    before, _, after = _formatter(log_format).format(record).partition(_time(record))
    return before, after


def configure(log_format: LogFormat, level: str) -> None:
    """Send the process's log to standard error."""
    handler = Sparing(sys.stderr)
    handler.setFormatter(_formatter(log_format))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def catch_up(now_seconds: float) -> None:
    """Write the lines that were left out and were followed by none; `now_seconds` since the epoch, as in log records."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Sparing):
            handler.catch_up(now_seconds)


@dataclass
class _Place:
    """A place that lines come from, and the lines that were left out there."""

    written_seconds: float
    left_out: int = 0
    last: logging.LogRecord | None = None

    def rests(self, now_seconds: float) -> bool:
        """Whether LEFT_OUT_SECONDS after its last line still run; a wall clock that was set back ends them."""
        return 0 <= now_seconds - self.written_seconds < LEFT_OUT_SECONDS


class Sparing(logging.StreamHandler[TextIO]):
    """Writes one line a second from one place. The next says `left_out`; where none comes, the last one left out is written."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._places: dict[tuple[object, ...], _Place] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it."""
        if getattr(record, "always", False):
            super().emit(record)
            return
        key = (record.name, record.pathname, record.funcName, record.lineno, getattr(record, "about", ""))
        place = self._places.get(key)
        if place is not None and place.rests(record.created):
            place.left_out += 1
            place.last = record
            return
        if place is None and len(self._places) >= MAX_PLACES:
            self._tell_all()
            self._places.clear()
        self._places[key] = _Place(record.created)
        self._write(record, place.left_out if place is not None else 0)
        self.catch_up(record.created)

    def catch_up(self, now_seconds: float) -> None:
        """Write the last line that was left out of each place that has been quiet for LEFT_OUT_SECONDS."""
        with self.lock or nullcontext():
            for place in self._places.values():
                if place.last is not None and not place.rests(now_seconds):
                    place.written_seconds = now_seconds
                    self._tell(place)

    def close(self) -> None:
        """Write what was left out: the process ends."""
        self._tell_all()
        super().close()

    def _tell_all(self) -> None:
        for place in self._places.values():
            self._tell(place)

    def _tell(self, place: _Place) -> None:
        last, left_out = place.last, place.left_out - 1
        place.last, place.left_out = None, 0
        if last is not None:
            self._write(last, left_out)

    def _write(self, record: logging.LogRecord, left_out: int) -> None:
        record.left_out = left_out
        super().emit(record)


def _formatter(log_format: LogFormat) -> logging.Formatter:
    return JSONFormatter() if log_format == "json" else TextFormatter()


class TextFormatter(logging.Formatter):
    """`2026-11-23T08:00:00.123Z INFO  leading lease=web token=81234`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception's traceback follows on its own lines."""
        fields = "".join(f" {key}={_quoted(value)}" for key, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname:<7} {plain(record.getMessage())}{fields}"
        return "\n".join([line, *(f"{_INDENT}{plain(each)}" for each in self._traceback(record))])

    def _traceback(self, record: logging.LogRecord) -> Iterator[str]:
        if record.exc_info:
            yield from self.formatException(record.exc_info).split("\n")


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """`time`, `level`, `message`, then the fields."""
        message = cut(record.getMessage())
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "message": message}
        if record.exc_info:
            line["exception"] = "\n".join(map(cut, self.formatException(record.exc_info).split("\n")))
        fields = {key: _bounded(value) for key, value in _fields(record).items()}
        return to_json(line | fields, default=lambda value: cut(str(value)))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The record's fields; last, how many lines from the same place were left out before it."""
    fields = getattr(record, "fields", {})
    left_out = getattr(record, "left_out", 0)
    return (fields if isinstance(fields, dict) else {}) | ({"left_out": left_out} if left_out else {})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bounded(value: object) -> object:
    """The value as it is, or its text cut short where that is too long."""
    text = str(value)
    return value if len(text) <= MAX_CHARS else cut(text)


def _quoted(value: object) -> str:
    text = cut(str(value))
    return text if text and all(character.isprintable() and character not in ' "=' for character in text) else to_json(text)
