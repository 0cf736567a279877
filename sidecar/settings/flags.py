"""Reads the command line: the text of each flag, and every word that is no flag.

By hand, so that all faults are told at once, and all that Go's flags allow is allowed (one dash or two, `=` or a space, negative values).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from sidecar.settings import legacy_flags
from sidecar.settings.declaration import BOOLEANS, PREFIX, RENAMED, Settings, flag, variable

COMMANDS: Final = ("probe",)
_NEAR: Final = 0.7
"""From this likeness on (difflib's ratio) a name is taken for a slip of another: LEESE_NAME is one, FOO or TOKEN is none."""


@dataclass
class Line:
    """The contents of a command line."""

    given: dict[str, str] = field(default_factory=dict)
    """Texts by field of the settings, or by an older flag's name; the last one counts."""
    faults: list[str] = field(default_factory=list)
    shows: str = ""
    """`help` or `version` where the command line asks for it."""


def parsed(arguments: Sequence[str]) -> Line:
    """Read a whole command line."""
    line, rest = Line(), Rest(arguments)
    for word in rest:
        if word == "--":
            line.faults += map(_no_command, rest)
        elif not word.startswith("-") or word == "-":
            line.faults.append(_no_command(word))
        else:
            _read(line, word, rest)
    return line


class Rest(Iterator[str]):
    """The words that are still to be read."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)

    def __next__(self) -> str:
        """The next word."""
        if not self._words:
            raise StopIteration
        return self._words.pop(0)

    def value(self) -> str | None:
        """Take the next word if it is no flag; a negative number is no flag."""
        return next(self) if self._words and not re.match(r"-(?![0-9.])", self._words[0]) else None

    def boolean(self) -> str | None:
        """Take the next word if it is true or false."""
        return next(self) if self._words and self._words[0].lower() in BOOLEANS else None


def _read(line: Line, word: str, rest: Rest) -> None:
    name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
    own = _OWN.get(name)
    value = text if equals else None
    if name in ("h", "help", "version"):
        line.shows = line.shows or ("version" if name == "version" else "help")
    elif own is not None and Settings.model_fields[own].annotation is bool:
        line.given[own] = value if value is not None else rest.value() or "true"
    elif own is not None or name in legacy_flags.FLAGS:
        found = value if value is not None else rest.value()
        if found is None:
            line.faults.append(f"--{name} needs a value: --{name}={(own or legacy_flags.FLAGS[name]).rpartition('_')[2].upper()}")
        else:
            line.given[own or name] = found
    elif legacy_flags.is_ignored_switch(name):
        rest.boolean()
    elif legacy_flags.is_ignored(name):
        _ = value if value is not None else rest.value()
    elif name.replace("-", "_") in RENAMED:
        line.faults.append(f"--{name} is called {flag(RENAMED[name.replace('-', '_')])}")
        if value is None:
            rest.value()
    else:
        line.faults.append(f"{word} is no flag{nearest(name, {key: f'--{key}' for key in (*_OWN, *legacy_flags.FLAGS)})}")
        if value is None:
            rest.value()  # skip its value, which would be told as another fault


def no_setting(name: str) -> str:
    """The message for an unknown LEADER_ name in the environment."""
    former = name.removeprefix(PREFIX).lower()
    if former in RENAMED:
        return f"{name} is called {variable(RENAMED[former])}"
    bare = {variable(each).partition("_")[2]: variable(each) for each in Settings.model_fields}
    return f"{name} is no setting{nearest(name.upper().partition('_')[2], bare)}"


def nearest(name: str, known: dict[str, str]) -> str:
    """The end of such a message: the known name that was probably meant, if any is near."""
    near = get_close_matches(name.lower(), {key.lower(): None for key in known}, n=1, cutoff=_NEAR)
    shown = {key.lower(): text for key, text in known.items()}
    return f": did you mean {shown[near[0]]}?" if near else "; leader-sidecar --help lists all there are"


def _no_command(word: str) -> str:
    if word in COMMANDS:
        return f"{word} is a command, and comes first: leader-sidecar {word} --help"
    near = get_close_matches(word.lower(), COMMANDS, n=1, cutoff=_NEAR)
    meant = f"did you mean leader-sidecar {near[0]}?" if near else "there is leader-sidecar probe; --help lists the flags"
    return f"{word!r} is an unknown command: {meant}"


_OWN: Final = {flag(each).removeprefix("--"): each for each in Settings.model_fields}
