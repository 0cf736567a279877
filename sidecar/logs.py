"""Structured log lines that read well: `event(logger, level, message, lease="web", token=81234)`."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]

_LIBRARIES: Final = ("aiohttp", "asyncio", "kubernetes_asyncio")
"""Their own lines at WARNING and above only: nobody reads an access log of probes."""


def event(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Log what happened, with fields that a machine can read."""
    logger.log(level, message, extra={"fields": fields})


def around_time(log_format: LogFormat, name: str, message: str, **fields: object) -> tuple[str, str]:
    """An ERROR line for later, in two parts: the time at which it is written belongs between them."""
    record = logging.makeLogRecord({"name": name, "levelno": logging.ERROR, "levelname": "ERROR", "msg": message, "fields": fields})
    before, _, after = _formatter(log_format).format(record).partition(_time(record))
    return before, after


def configure(log_format: LogFormat, level: str) -> None:
    """Send the process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(log_format))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def _formatter(log_format: LogFormat) -> logging.Formatter:
    return JSONFormatter() if log_format == "json" else TextFormatter()


class TextFormatter(logging.Formatter):
    """`2026-11-23T08:00:00.123Z INFO  leading lease=web token=81234`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception's traceback follows on its own lines."""
        fields = "".join(f" {key}={_quoted(value)}" for key, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """`time`, `level`, `message`, then the fields."""
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line | _fields(record), default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, dict) else {}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and all(character.isprintable() and character not in ' "=' for character in text) else json.dumps(text)
