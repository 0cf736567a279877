"""Standard output and error in any state. Closed, full, or a pipe that nobody reads: none changes an exit code or an answer."""

import os
import sys

_ALL = (0, 1, 2)


def stand() -> None:
    """Open descriptors 0 to 2 before anything else: a pipe with such a number would get the text that is meant for a user."""
    for number in _ALL:
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - open takes the lowest free number: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as Python makes it where the descriptor is open
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - likewise


def tell(text: str) -> None:
    """Write the text that a command was asked for to standard output."""
    _write(1, text)


def complain(text: str) -> None:
    """Write a line for the user to standard error: there is no log yet, or none at all."""
    _write(2, text)


def _write(number: int, text: str) -> None:
    stream = sys.stdout if number == 1 else sys.stderr
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # full, or nobody reads it: nobody can be told
        pass


def end(code: int) -> int:
    """The exit code `code`. Where output cannot be flushed, exit here: the interpreter would exit with 120."""
    failed = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            failed = True
    if failed:
        os._exit(code)
    return code
