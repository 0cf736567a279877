"""The process from outside: signals until the election handles them, the settings, the log, the exit code. Its ending: `wiring.py`."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

from sidecar import child_processes, logs, preload, resolver_threads, watchdog, wiring
from sidecar.settings import checking
from sidecar.settings.in_force import EXIT_UNUSABLE, UnusableError

_log: Final = logging.getLogger("sidecar")

EXIT_STOPPED: Final = 0
EXIT_BUG: Final = 1


def main(check: checking.Check, dog: watchdog.Watchdog) -> int:
    """Run the sidecar until it is told to stop; the exit code."""
    with _stoppable():
        code = dog.code = _to_the_end(check, dog)
        child_processes.end_all()
    resolver_threads.leave_hung(code)
    return code


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Exit at once on SIGTERM or SIGINT, until the election handles them: nothing was written yet, so nothing is to be released.

    Without a handler the kernel ignores SIGTERM for PID 1.
    """

    def leave(_: int, __: FrameType | None) -> None:
        child_processes.end_at_once()
        with contextlib.suppress(OSError):
            os.write(2, b"leader-sidecar: stopped by a signal before the election began\n")
        os._exit(EXIT_STOPPED)

    before = {number: signal.signal(number, leave) for number in wiring.STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _to_the_end(check: checking.Check, dog: watchdog.Watchdog) -> int:
    try:
        preload.load_ahead()
        settings = check.settings()
        if settings is None:
            return check.code
        logs.configure(settings.log_format, settings.log_level)
        asyncio.run(wiring.run(settings, dog))
    except UnusableError as error:
        error.say()
        return EXIT_UNUSABLE
    except (Exception, BaseExceptionGroup):  # noqa: BLE001 - the last resort before a user
        _log.exception("a bug in the sidecar: the process exits with 1 and releases nothing")
        return EXIT_BUG
    return EXIT_STOPPED
