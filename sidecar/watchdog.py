"""Ends a process whose loop hangs: exit code 1, nothing released, no SIGTERM, and a line in the log with the place where it stands.

A liveness probe would end it by SIGTERM, which says in a native sidecar that the application has ended (S11). So a small process beside the
sidecar waits for beats of the loop. It counts ticks of its own and reads no clock: what is stopped, frozen or suspended misses no beat.
Ending needs neither the GIL, which a stuck loop may hold, nor a signal, to which PID 1 of a container is deaf: a thread of faulthandler's
stands in a write to a full pipe. When the watcher reads, that thread goes on: to the traceback, and to `_exit`.
"""

import atexit
import faulthandler
import gc
import os
import sys
from math import ceil

BEAT_SECONDS = 1.0
"""The loop beats so often."""
TICK_SECONDS = 1.25
"""So long without a beat is one missed."""

_CHUNK_BYTES = 4096
_FILLER = b"\0"
_STOPPED = (b"T", b"t")
_RUNNABLE = b"R"
_UTIME, _STIME = 11, 12
"""proc_pid_stat(5), counted from the state on."""


class Watchdog:
    """The sidecar's end of it."""

    def __init__(self) -> None:
        """Nobody watches."""
        self.code = 1
        """What the process exits with, once it is known."""
        self._beats = self._full = -1
        self._armed = False

    def begin(self) -> None:
        """Fork the watcher, before anything is loaded: what it shares with the sidecar costs nothing, and it keeps little else.

        Where no process can be looked at (there is no /proc) nobody watches. Raises OSError where there can be no process.
        """
        try:
            stat = os.open("/proc/self/stat", os.O_RDONLY)  # of this process, in whatever namespace /proc was mounted
        except OSError:
            return
        beats, self._beats = os.pipe()
        drain, self._full = _full_pipe()
        gc.freeze()  # no collection writes to what both share
        if os.fork() == 0:
            try:
                os.close(self._beats)
                os.close(self._full)
                _watch(beats, drain, stat)
            finally:
                os._exit(0)
        os.close(beats)
        os.close(stat)
        os.set_blocking(self._beats, False)
        # `drain` stays open here too: whatever becomes of the watcher, the pipe has a reader, and the write into it goes on waiting.
        atexit.register(self._leave)  # the first to be registered is the last to be called

    def arm(self, limit_seconds: float, line: tuple[str, str]) -> None:
        """From now on end the process after `limit_seconds` without a beat. `line`: what to log then, before and after its time."""
        if self._beats < 0:
            return
        faulthandler.dump_traceback_later(limit_seconds, exit=True, file=self._full)
        self._armed = True
        missed = ceil((limit_seconds + BEAT_SECONDS) / TICK_SECONDS)  # the last beat may be that old when the loop hangs
        os.write(self._beats, "\0".join((str(missed), *line)).encode() + b"\n")

    def beat(self) -> bool:
        """Say that the loop turns; false where nobody watches any longer."""
        try:
            os.write(self._beats, b".")
        except BlockingIOError:  # it is stopped, and has enough to read
            return True
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Let the watcher go: the loop has ended by itself."""
        if self._beats >= 0:
            os.close(self._beats)
            self._beats = -1

    def _leave(self) -> None:
        """Where faulthandler's thread is in its write, the interpreter would wait for it at its end for ever."""
        if self._armed:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(self.code)


def _full_pipe() -> tuple[int, int]:
    """A pipe that takes no byte more before one is read; and then, where the kernel can, one write at a time.

    As PID 1 the sidecar takes the watcher with it when it exits: what the pipe still holds of the traceback then is lost.
    """
    import fcntl  # noqa: PLC0415 - likewise

    try:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_DIRECT)
    except (AttributeError, OSError):
        reading, writing = os.pipe()
    try:  # noqa: SIM105 - contextlib loads more than all of this
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)  # a page
    except (AttributeError, OSError):
        pass  # it is larger then, and full all the same
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, _FILLER * _CHUNK_BYTES)
    except BlockingIOError:
        os.set_blocking(writing, True)
    return reading, writing


# ---- the watcher -----------------------------------------------------------------------------------------------------------------------


def _watch(beats: int, drain: int, stat: int) -> None:
    """Until the sidecar has ended: the beats have an end then."""
    import select  # noqa: PLC0415 - the sidecar loads it later, with much else

    os.setsid()  # neither the terminal's signals nor those for the sidecar's group are meant for this one
    gc.disable()
    poll = select.poll()
    poll.register(beats, select.POLLIN)
    limit, missed, line = 0, 0, (b"", b"")
    paused = _Pauses(stat)
    while True:
        if poll.poll(TICK_SECONDS * 1000):
            chunk = os.read(beats, _CHUNK_BYTES)
            if not chunk:
                return
            missed = 0
            if b"\n" in chunk:
                count, before, after = chunk.partition(b"\n")[0].split(b"\0")
                limit, line = int(count), (before, after)
        elif limit and not paused.look():
            missed += 1
            if missed == limit:
                _end(drain, line)


class _Pauses:
    """Whether the sidecar could not run, rather than did not."""

    def __init__(self, stat: int) -> None:
        self._stat = stat
        self._used = b""

    def look(self) -> bool:
        """It is stopped; or it has wanted to run, and was given no time since the last look."""
        try:
            fields = os.pread(self._stat, _CHUNK_BYTES, 0).rpartition(b") ")[2].split()
        except OSError:  # it is no more: the next read of the beats says so
            return True
        before, self._used = self._used, b" ".join(fields[_UTIME : _STIME + 1])
        return fields[0] in _STOPPED or (fields[0] == _RUNNABLE and before == self._used)


def _end(drain: int, line: tuple[bytes, bytes]) -> None:
    """Say why, then let faulthandler's thread go on, and hand on the traceback until the sidecar has exited."""
    import time  # noqa: PLC0415 - as above

    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()).encode()
    _say(now.join(line) + b"\n")
    while chunk := os.read(drain, _CHUNK_BYTES):
        _say(chunk.replace(_FILLER, b""))


def _say(text: bytes) -> None:
    """On standard error, if it takes it at once: where nobody reads it, that may be why the loop hangs."""
    import select  # noqa: PLC0415 - as above

    poll = select.poll()
    poll.register(2, select.POLLOUT)
    try:
        if poll.poll(0):
            os.write(2, text)
    except OSError:
        pass
