"""Ends a process whose loop hangs: exit code 1, nothing released, no SIGTERM, and a log line with a traceback of the place.

A liveness probe would end it by SIGTERM, which in a native sidecar says that the application has ended (S11). So a small process, the
watcher, waits for beats of the loop. The watcher counts ticks of its own and reads no clock, so a sidecar that is stopped, frozen or
suspended misses no beat. Ending needs neither the GIL, which a stuck loop may hold, nor a signal, which PID 1 of a container may ignore: a
thread of faulthandler waits in a write to a full pipe. When the watcher reads that pipe, the thread writes the traceback and calls `_exit`.
"""

import atexit
import faulthandler
import gc
import os
import sys
from math import ceil

BEAT_SECONDS = 1.0
"""Between two beats of the loop."""
TICK_SECONDS = 1.25
"""The watcher's tick: a tick without a beat is a missed beat."""

_CHUNK_BYTES = 4096
_FILLER = b"\0"
_STOPPED = (b"T", b"t")
_RUNNABLE = b"R"
_UTIME, _STIME = 11, 12
"""Fields of proc_pid_stat(5), counted from the state on."""


class Watchdog:
    """The sidecar's side: starts the watcher and sends it beats."""

    def __init__(self) -> None:
        """No watcher yet."""
        self.code = 1
        """The process's exit code, once it is known."""
        self._beats = self._full = -1
        self._armed = False

    def begin(self) -> None:
        """Fork the watcher before anything is loaded: the memory that it shares with the sidecar costs nothing, and it has little else.

        Without /proc there is no watcher. Raises OSError where no process can be started.
        """
        try:
            stat = os.open("/proc/self/stat", os.O_RDONLY)  # this process, whatever PID namespace /proc belongs to
        except OSError:
            return
        beats, self._beats = os.pipe()
        drain, self._full = _full_pipe()
        gc.freeze()  # a collection would write to the pages that both processes share
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
        # `drain` stays open here too: even if the watcher ends, the pipe has a reader, and the write into it goes on waiting.
        atexit.register(self._leave)  # the first to be registered is the last to be called

    def arm(self, limit_seconds: float, line: tuple[str, str]) -> None:
        """From now on end the process after `limit_seconds` without a beat. `line`: the log line's text before and after its time."""
        if self._beats < 0:
            return
        faulthandler.dump_traceback_later(limit_seconds, exit=True, file=self._full)
        self._armed = True
        missed = ceil((limit_seconds + BEAT_SECONDS) / TICK_SECONDS)  # the last beat may be that old when the loop hangs
        os.write(self._beats, "\0".join((str(missed), *line)).encode() + b"\n")

    def beat(self) -> bool:
        """Tell the watcher that the loop turns; false where the watcher has ended."""
        try:
            os.write(self._beats, b".")
        except BlockingIOError:  # the watcher is stopped, and the pipe is full of beats
            return True
        except OSError:
            return False
        return True

    def end(self) -> None:
        """End the watcher: the loop has ended by itself."""
        if self._beats >= 0:
            os.close(self._beats)
            self._beats = -1

    def _leave(self) -> None:
        """Exit without the interpreter's ending, which would wait for ever for faulthandler's thread in its write."""
        if self._armed:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(self.code)


def _full_pipe() -> tuple[int, int]:
    """A full pipe: a write waits until something is read; then, where the kernel can, the pipe takes one write at a time.

    When the sidecar is PID 1, its exit ends the watcher too, and a part of the traceback that is still in the pipe is lost. So the pipe
    must hold little.
    """
    import fcntl

    try:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_DIRECT)
    except (AttributeError, OSError):
        reading, writing = os.pipe()
    try:  # noqa: SIM105 - contextlib loads more than all of this
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)  # a page
    except (AttributeError, OSError):
        pass  # then the pipe is larger, and is filled all the same
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, _FILLER * _CHUNK_BYTES)
    except BlockingIOError:
        os.set_blocking(writing, True)
    return reading, writing


# ---- the watcher -----------------------------------------------------------------------------------------------------------------------


def _watch(beats: int, drain: int, stat: int) -> None:
    """Watch until the sidecar has ended, which closes the pipe of beats."""
    import select  # the sidecar loads it later, with much else

    os.setsid()  # signals of the terminal, or for the sidecar's process group, are not meant for the watcher
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
    """Distinguishes a sidecar that could not run from one whose loop hangs."""

    def __init__(self, stat: int) -> None:
        self._stat = stat
        self._used = b""

    def look(self) -> bool:
        """Whether the sidecar is stopped, or has wanted to run and got no CPU time since the last look."""
        try:
            fields = os.pread(self._stat, _CHUNK_BYTES, 0).rpartition(b") ")[2].split()
        except OSError:  # the sidecar has ended: the next read of the beats tells
            return True
        before, self._used = self._used, b" ".join(fields[_UTIME : _STIME + 1])
        return fields[0] in _STOPPED or (fields[0] == _RUNNABLE and before == self._used)


def _end(drain: int, line: tuple[bytes, bytes]) -> None:
    """Log the line, then let faulthandler's thread go on, and pass its traceback on until the sidecar has exited."""
    import time

    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()).encode()
    _say(now.join(line) + b"\n")
    while chunk := os.read(drain, _CHUNK_BYTES):
        _say(chunk.replace(_FILLER, b""))


def _say(text: bytes) -> None:
    """Write to standard error if it takes the text at once: a standard error that nobody reads may be why the loop hangs."""
    import select

    poll = select.poll()
    poll.register(2, select.POLLOUT)
    try:
        if poll.poll(0):
            os.write(2, text)
    except OSError:
        pass
