"""Checks the settings in a process that ends, so that the validator and its libraries take no memory in the process that stays.

That process is forked before anything is loaded, and works while the sidecar loads the modules for serving. It prints by itself what the
user is to be told.
"""

import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.settings.in_force import Settings

_CHUNK_BYTES: Final = 65536
Taken = Callable[[Mapping[str, str]], list[str]]


class Check:
    """A check under way."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid, self._pipe = pid, pipe
        self.code = 0
        """The exit code where there are no settings."""

    def settings(self) -> "Settings | None":
        """Wait for the settings; None where the user has been told every fault."""
        from sidecar.settings.in_force import Settings, UnusableError  # noqa: PLC0415 - see the top

        received = b""
        while chunk := os.read(self._pipe, _CHUNK_BYTES):
            received += chunk
        os.close(self._pipe)
        ended = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        if ended < 0:
            name = signal.Signals(-ended).name
            raise UnusableError(f"{name} ended the process that checks the settings: if memory is short, raise the container's limit")
        self.code = ended
        return Settings(**json.loads(received)) if received else None


def begin(arguments: Sequence[str], taken: Taken) -> Check:
    """Begin to check the settings of flags and environment in another process. Raises OSError where none can be started.

    `taken` finds the addresses that cannot be bound, for settings that have other faults.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(_checked(arguments, taken, writing))
    os.close(writing)
    return Check(pid, reading)


def _checked(arguments: Sequence[str], taken: Taken, pipe: int) -> int:
    """Check; write good settings into `pipe`. The exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the process that stays answers the terminal's interrupt
    _make_haste()
    try:
        from sidecar.settings.loading import checked  # noqa: PLC0415 - the validator, here alone

        found, code = checked(arguments, taken)
        with open(pipe, "wb") as file:
            file.write(found)
    except BrokenPipeError:  # the process that waited has ended
        return 1
    except Exception:  # noqa: BLE001 - the last resort before a user
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        with contextlib.suppress(OSError, ValueError):  # the output is full, or nobody reads it
            sys.stdout.flush()
            sys.stderr.flush()
    return code


def help_text() -> str:
    """The text of --help; in this process, which ends."""
    _make_haste()
    from sidecar.settings import command_line  # noqa: PLC0415 - likewise

    return command_line.help_text()


def _make_haste() -> None:
    """For a process that ends: nothing is collected, and no plugin of pydantic's is looked for, which took a tenth of the time."""
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    gc.disable()
