"""Standard output and error, whatever they are: closed, full or a pipe that nobody reads change neither an exit code nor an answer."""

import os
import sys

_ALL = (0, 1, 2)


def stand() -> None:
    """Have descriptors 0 to 2 open, before anything else is: a pipe that got such a number would take what is said to a user."""
    for number in _ALL:
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - the lowest free number, so this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as Python has it where it is open
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - likewise


def tell(text: str) -> None:
    """Write what was asked for to standard output."""
    _write(1, text)


def complain(text: str) -> None:
    """Write a line to a user to standard error: there is no log yet, or none at all."""
    _write(2, text)


def _write(number: int, text: str) -> None:
    stream = sys.stdout if number == 1 else sys.stderr
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # full, or nobody reads it: there is nobody to tell that
        pass


def end(code: int) -> int:
    """The same code. What cannot be written any more would make the interpreter exit with 120: it ends here then."""
    failed = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            failed = True
    if failed:
        os._exit(code)
    return code
